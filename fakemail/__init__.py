"""The FakeMail client, and the simulator that plays FakeMail."""
