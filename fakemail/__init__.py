"""FakeMail as we see it (client) and as we play it (simulator, faults)."""
