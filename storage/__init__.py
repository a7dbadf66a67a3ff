"""The stores: the books in SQL and the mailboxes in Redis."""
