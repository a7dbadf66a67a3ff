"""The actors of the email processor: one class a file; those with a mailbox have one handle(). Beside them what they share, and the jobs that tasks.py runs."""
