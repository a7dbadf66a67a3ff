"""The commands of run.py and of the scripts beside it; most of them are HTTP clients of the running server."""
