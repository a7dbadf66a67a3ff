"""Learns the model and makes the model card; needs requirements-train.txt, and nothing at run time imports it."""
