"""The simulation: real actors, books and results under random interleavings, crashes, lost replies and wipes."""
