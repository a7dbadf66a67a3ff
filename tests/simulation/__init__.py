"""The simulation: the real actors, books and results under random interleavings, crashes, lost replies and wiped mailboxes, by seed."""
