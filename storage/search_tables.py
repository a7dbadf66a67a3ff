"""The tables of the full-text index and its queue: a step of the schema's history.

Called by migrations.py; search.py reads and fills what is made here, contents.py fills the queue.
"""

from storage.statements import execute, is_postgres


def create() -> None:
    """The migration's step: the index, and its queue."""
    for statement in POSTGRES if is_postgres() else SQLITE:
        execute(statement)


SQLITE = (
    "CREATE TABLE IF NOT EXISTS unindexed (ref INTEGER PRIMARY KEY)",
    "CREATE VIRTUAL TABLE IF NOT EXISTS search USING fts5(subject, body, sender, content='', contentless_delete=1, tokenize=\"ascii tokenchars '_'\")",
)

POSTGRES = (
    "CREATE TABLE IF NOT EXISTS unindexed (ref BIGINT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS search (ref BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)",
    "CREATE INDEX IF NOT EXISTS search_words ON search USING GIN (words)",
)
