"""The tables of the full-text index, its queue, and the triggers that fill the queue: a step of the schema's history.

Called by migrations.py; search.py reads and fills these tables. On SQLite only older programs need the triggers
(contents.py).
"""

from storage.statements import execute, is_postgres


def create() -> None:
    """Create the index, its queue and the triggers, and queue all existing content."""
    execute(
        "CREATE TABLE IF NOT EXISTS unindexed (ref BIGINT PRIMARY KEY)"
        if is_postgres()
        else "CREATE TABLE IF NOT EXISTS unindexed (ref INTEGER PRIMARY KEY)"
    )
    for statement in POSTGRES if is_postgres() else SQLITE:
        execute(statement)
    execute(
        "INSERT INTO unindexed (ref) SELECT ref FROM content ON CONFLICT DO NOTHING"
        if is_postgres()
        else "INSERT OR IGNORE INTO unindexed (ref) SELECT ref FROM content"
    )


SQLITE = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS search USING fts5(subject, body, sender, content='', contentless_delete=1, tokenize=\"ascii tokenchars '_'\")",
    "CREATE TRIGGER IF NOT EXISTS content_new AFTER INSERT ON content BEGIN INSERT OR IGNORE INTO unindexed (ref) VALUES (new.ref); END",
    "CREATE TRIGGER IF NOT EXISTS content_changed AFTER UPDATE ON content BEGIN INSERT OR IGNORE INTO unindexed (ref) VALUES (new.ref); END",
)

POSTGRES = (
    "CREATE TABLE IF NOT EXISTS search (ref BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)",
    "CREATE INDEX IF NOT EXISTS search_words ON search USING GIN (words)",
    """CREATE OR REPLACE FUNCTION queue_for_index() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO unindexed (ref) SELECT ref FROM changed ON CONFLICT DO NOTHING; RETURN NULL; END $$""",
    "CREATE OR REPLACE TRIGGER content_new AFTER INSERT ON content REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION queue_for_index()",
    "CREATE OR REPLACE TRIGGER content_changed AFTER UPDATE ON content REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION queue_for_index()",
)
