"""Facts about the database itself, by name: its schema, the name of the books, marks. Inside a transaction of Database.read or Database.write."""

from storage.statements import execute


def get(name: str) -> str | None:
    """Give one fact; None where it was never put."""
    rows = execute("SELECT value FROM meta WHERE name = ?", [name])
    return str(rows[0][0]) if rows else None


def put(name: str, value: str) -> None:
    """Put one fact in the place of what was there."""
    execute(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [name, value],
    )
