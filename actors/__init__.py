"""The actors of the email processor, one class per file; an actor with a mailbox has a single `handle()`.

The package also holds what the actors share and the jobs that tasks.py runs.
"""
