"""Trains the model and writes the model card. Needs requirements-train.txt; nothing at run time imports it."""
