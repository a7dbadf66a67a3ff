"""Email to label: pure functions and the model; learning/ makes the model."""
