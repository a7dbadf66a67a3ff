"""Named facts about the database itself: its schema version, the books' id, markers.

Call these functions inside a transaction of Database.read or Database.write.
"""

from storage.statements import execute


def get(name: str) -> str | None:
    """Return one fact, or None if it was never set."""
    rows = execute("SELECT value FROM meta WHERE name = ?", [name])
    return str(rows[0][0]) if rows else None


def count_up(name: str) -> int:
    """Increment a numeric fact and return it, starting at 1. No number is returned twice."""
    rows = execute(
        "INSERT INTO meta (name, value) VALUES (?, '1') ON CONFLICT (name) DO UPDATE SET "
        "value = CAST(CAST(meta.value AS BIGINT) + 1 AS TEXT) RETURNING value",
        [name],
    )
    return int(rows[0][0])


def put(name: str, value: str) -> None:
    """Set one fact, replacing any earlier value."""
    execute(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [name, value],
    )
