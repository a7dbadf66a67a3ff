"""Browser sessions that were ended before they expired. All else about a session is in its cookie (web/sessions.py)."""

from storage.access_tables import EndedSessionRow
from storage.database import Database
from storage.statements import execute, insert

ALL = "*"


class EndedSessions:
    """The ended sessions of all fronts of one system."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def end(self, session_id: str, at: float, expires: float) -> None:
        """Record until `expires` that a session (ALL: every session that began before `at`) has ended."""
        self._db.write(_end, session_id, at, expires)

    def all(self) -> dict[str, float]:
        """Return the time at which each session was ended, by its id."""
        return self._db.read(_all)


def _end(session_id: str, at: float, expires: float) -> None:
    execute("DELETE FROM ended_session WHERE expires < ?", [at])
    insert(
        EndedSessionRow,
        ("id", "at", "expires"),
        [(session_id, at, expires)],
        "ON CONFLICT (id) DO UPDATE SET at = excluded.at, expires = excluded.expires",
    )


def _all() -> dict[str, float]:
    return {str(name): float(at) for name, at in execute("SELECT id, at FROM ended_session")}
