"""The desired state of the system (paused, pool size, promoted model, webhook URL …): JSON values by name, in SQL.

The web and the commands write most of it. Every process reads it every few seconds, and at once when Redis says so.
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
        """Return one value, or the default if it was never set."""
        return self._db.read(get, name, default)

    def set(self, name: str, value: Any) -> int:
        """Set one value (JSON-able) and return its new version, counted from 1."""
        return self._db.write(put, name, value)

    def all(self) -> dict[str, Any]:
        """Return all values by name."""
        return self._db.read(_all)


def get(name: str, default: Any = None) -> Any:
    """Do what Desired.get does, inside a transaction."""
    rows = execute("SELECT value FROM desired WHERE name = ?", [name])
    return msgspec.json.decode(rows[0][0]) if rows else default


def put(name: str, value: Any) -> int:
    """Do what Desired.set does, inside a transaction of Database.write."""
    rows = execute(
        "INSERT INTO desired (name, value, version) VALUES (?, ?, 1) ON CONFLICT (name) DO UPDATE SET "
        "value = excluded.value, version = desired.version + 1 RETURNING version",
        [name, encode_json(value).decode()],
    )
    return int(rows[0][0])


def bump(name: str) -> int:
    """Raise a version number kept as desired state (first: 1), inside a transaction that locks it until the commit."""
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
