"""Email to label: pure functions, the model and its training."""
