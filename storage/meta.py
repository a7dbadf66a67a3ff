"""Facts about the database itself, by name: its schema, the name of the books, marks. Inside a transaction of Database.read or Database.write."""

from storage.statements import execute


def get(name: str) -> str | None:
    """Give one fact; None where it was never put."""
    rows = execute("SELECT value FROM meta WHERE name = ?", [name])
    return str(rows[0][0]) if rows else None


def count_up(name: str) -> int:
    """Raise a fact that is a number, and give it; the first is 1. No number is ever given twice."""
    rows = execute(
        "INSERT INTO meta (name, value) VALUES (?, '1') ON CONFLICT (name) DO UPDATE SET "
        "value = CAST(CAST(meta.value AS BIGINT) + 1 AS TEXT) RETURNING value",
        [name],
    )
    return int(rows[0][0])


def put(name: str, value: str) -> None:
    """Put one fact in the place of what was there."""
    execute(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [name, value],
    )
