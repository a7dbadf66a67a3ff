"""Benchmarks of the running system and of its peers; `make bench` runs them all (see run.py)."""
