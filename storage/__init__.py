"""The stores: the books in SQL, the mailboxes in Redis."""
