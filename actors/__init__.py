"""The actors of the email processor: each one a noun, a mailbox and one handle()."""
