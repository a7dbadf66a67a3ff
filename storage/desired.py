"""What the whole system should be (paused, pool size, promoted model, webhook URL …): JSON values by name, kept in SQL.

Written by the web and the commands, read by every process: at once when Redis says "read again", and every few seconds anyway.
"""

from typing import Any

import msgspec

from storage.database import Database
from storage.statements import encode_json, execute


class Desired:
    """The desired state of one system."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, name: str, default: Any = None) -> Any:
        """Give one value, or the default where it was never set."""
        return self._db.read(get, name, default)

    def set(self, name: str, value: Any) -> int:
        """Set one value (JSON-able) and give the version that it then has, from 1 up."""
        return self._db.write(put, name, value)

    def all(self) -> dict[str, Any]:
        """Give all values by name."""
        return self._db.read(_all)


def get(name: str, default: Any = None) -> Any:
    """As Desired.get, inside a transaction."""
    rows = execute("SELECT value FROM desired WHERE name = ?", [name])
    return msgspec.json.decode(rows[0][0]) if rows else default


def put(name: str, value: Any) -> int:
    """As Desired.set, inside a transaction of Database.write."""
    rows = execute(
        "INSERT INTO desired (name, value, version) VALUES (?, ?, 1) ON CONFLICT (name) DO UPDATE SET "
        "value = excluded.value, version = desired.version + 1 RETURNING version",
        [name, encode_json(value).decode()],
    )
    return int(rows[0][0])


def bump(name: str) -> int:
    """Raise a version that is desired state, inside a transaction: until that commits, nobody else can. It is 1 at first."""
    rows = execute(
        "INSERT INTO desired (name, value, version) VALUES (?, '1', 1) ON CONFLICT (name) DO UPDATE SET "
        "value = CAST(desired.version + 1 AS TEXT), version = desired.version + 1 RETURNING version",
        [name],
    )
    return int(rows[0][0])


def _all() -> dict[str, Any]:
    return {
        name: msgspec.json.decode(value) for name, value in execute("SELECT name, value FROM desired ORDER BY name")
    }
