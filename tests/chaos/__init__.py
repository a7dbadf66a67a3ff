"""Tests that break real systems: the sweep over failpoints, the drill, outages, poison, zombies. Slow; marked `chaos`."""
