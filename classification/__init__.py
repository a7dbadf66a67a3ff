"""Maps an email to a label: pure functions and the model. learning/ trains the model."""
