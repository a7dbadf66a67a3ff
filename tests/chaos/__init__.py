"""Plugs pulled for real: the sweep over all failpoints, the drill, outages, poison, zombies. Slow; marked `chaos`."""
