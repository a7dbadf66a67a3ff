"""The actor engine: durable mailboxes, supervision, processes. It does not know what an email is."""
