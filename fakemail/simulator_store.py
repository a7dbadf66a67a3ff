"""The simulator's account in one SQLite file: the history, the emails as ready-made JSON, the subscribers.

Called by simulator.py: writes run on its writer thread; reads are lookups or bounded slices and run in the caller. With
WAL and synchronous=FULL, emails survive a kill or a power cut once `append` has returned. The history is a table of its
own, so that a listing of a million ids does not read a million bodies.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import apsw

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS history (
  history_id INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, visible_at REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS documents (history_id INTEGER PRIMARY KEY, document BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS subscribers (url TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
"""
_NEWEST = "SELECT coalesce(max(history_id), 0) FROM history"
_FIND = """
SELECT history.history_id, document FROM history JOIN documents USING (history_id) WHERE id = ? AND visible_at <= ?
"""
_SLICE = """
SELECT history_id, id FROM history WHERE history_id > ? AND history_id <= ? AND visible_at <= ?
ORDER BY history_id LIMIT ?
"""


class NewRow(NamedTuple):
    """An email to append: its id in UTF-8, the time from which it is visible (seconds since the epoch), and its JSON.

    The JSON lacks its end: the history id comes last and is known only once the email is appended.
    """

    id: bytes
    visible_at: float
    document: bytes


class Appended(NamedTuple):
    """The history id of an email, and whether the email was new."""

    history_id: int
    new: bool


class SimulatorStore:
    """One file, with one connection for writing and one for reading. Methods raise apsw.Error."""

    def __init__(self, path: Path) -> None:
        self._writer = _connect(path)
        self._transaction(lambda: self._writer.execute(_SCHEMA))
        self._reader = _connect(path)

    def append(self, groups: Sequence[Sequence[NewRow]]) -> list[list[Appended]]:
        """Append the emails of all groups in one transaction; an existing email keeps its place."""
        return self._transaction(lambda: self._append(groups))

    def _append(self, groups: Sequence[Sequence[NewRow]]) -> list[list[Appended]]:
        last = int(self._writer.execute(_NEWEST).get)
        results = []
        for group in groups:
            places = []
            for row in group:
                place = self._append_one(row, last + 1)
                last += place.new
                places.append(place)
            results.append(places)
        return results

    def _append_one(self, row: NewRow, history_id: int) -> Appended:
        execute = self._writer.execute
        known = execute("SELECT history_id FROM history WHERE id = ?", (row.id,)).get
        if known is not None:
            return Appended(known, new=False)
        execute("INSERT INTO history VALUES (?, ?, ?)", (history_id, row.id, row.visible_at))
        execute("INSERT INTO documents VALUES (?, ?)", (history_id, row.document))
        return Appended(history_id, new=True)

    def find(self, email_id: bytes, now: float) -> bytes | None:
        """Return the JSON of one email, or None if there is no visible one with this id."""
        for history_id, document in self._reader.execute(_FIND, (email_id, now)):
            return b'%b,"history_id":%d}' % (document, history_id)
        return None

    def slice(self, after: int, upto: int, now: float, limit: int) -> list[tuple[int, bytes]]:
        """Return (history id, id) of the visible emails in (after, upto], oldest first."""
        rows: list[tuple[int, bytes]] = list(self._reader.execute(_SLICE, (after, upto, now, limit)))
        return rows

    def newest(self) -> int:
        """Return the newest history id, 0 in an empty account."""
        return int(self._reader.execute(_NEWEST).get)

    def subscribers(self) -> list[str]:
        """Return the webhook URLs."""
        return [url for (url,) in self._reader.execute("SELECT url FROM subscribers ORDER BY url")]

    def subscribe(self, url: str) -> None:
        """Store a webhook URL."""
        self._writer.execute("INSERT OR IGNORE INTO subscribers VALUES (?)", (url,))

    def reset(self) -> None:
        """Delete all emails and the history; the next email is number 1 again."""
        self._transaction(lambda: self._writer.execute("DELETE FROM history; DELETE FROM documents"))

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        self._writer.close()

    def _transaction(self, work: Callable[[], T]) -> T:
        """Run `work` in one transaction."""
        # apsw's own `with connection` holds the interpreter lock while it commits: the hub would wait for the disk.
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            result = work()
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        return result


def _connect(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(5000)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    return connection
