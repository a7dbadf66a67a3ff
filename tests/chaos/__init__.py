"""Tests that break real systems: the sweep over failpoints, drill, outages, poison, zombies. Slow; marked `chaos`."""
