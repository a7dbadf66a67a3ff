"""What the drill reads directly, past the system: the database's own tables, with SQL of its own.

Used during the drill (cursor and rows, in one snapshot) and for the verdict. Supports SQLite files and PostgreSQL.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import psycopg

from settings.addresses import sqlite_file

RESULTS = "SELECT book.key, result.processed_at, result.total_ms FROM result JOIN book ON book.id = result.ref"
DEAD = "SELECT key FROM book WHERE state = 2"
BOOKS = "SELECT key, COUNT(*) FROM book GROUP BY key"
OPEN = "SELECT COUNT(*) FROM book WHERE state = 0"
CURSOR = "SELECT (SELECT cursor FROM source WHERE name = 'main'), (SELECT COUNT(*) FROM book)"
TABLES = {
    "sqlite": "SELECT COUNT(*) FROM sqlite_master WHERE name = 'book'",
    "postgresql": "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'book'",
}
TROUBLES = (apsw.Error, psycopg.Error)


@dataclass(frozen=True)
class Evidence:
    """The database at `url`, opened afresh for each query."""

    url: str

    @property
    def kind(self) -> str:
        """The kind of database: `sqlite` or `postgresql`."""
        return "sqlite" if sqlite_file(self.url) else "postgresql"

    @property
    def path(self) -> Path:
        """The SQLite file."""
        found = sqlite_file(self.url)
        assert found is not None, "a PostgreSQL is no file"
        return found

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of one query. Raises one of TROUBLES if the database is away or locked."""
        if self.kind == "sqlite":
            with closing(apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)) as database:
                database.set_busy_timeout(5000)
                database.execute("PRAGMA query_only = 1")
                return list(database.execute(sql))
        with psycopg.connect(self.url, connect_timeout=5) as connection:
            return connection.execute(sql.encode()).fetchall()

    def is_new(self) -> bool:
        """Return whether the database has none of our tables yet."""
        if self.kind == "sqlite" and not self.path.exists():
            return True
        return int(self.rows(TABLES[self.kind])[0][0]) == 0

    def cursor(self) -> tuple[int, int]:
        """Return (cursor, rows in the books) of one instant, or (0, 0) while that cannot be read."""
        try:
            cursor, count = self.rows(CURSOR)[0]
        except TROUBLES:
            return 0, 0
        return int(cursor or 0), int(count)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold a lock that every writer needs."""
        if self.kind == "sqlite":
            with closing(apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)) as database:
                database.set_busy_timeout(5000)
                database.execute("BEGIN EXCLUSIVE")
                yield
                database.execute("ROLLBACK")
        else:
            with psycopg.connect(self.url, connect_timeout=5) as connection:
                connection.execute("LOCK TABLE book, source IN EXCLUSIVE MODE")
                yield
                connection.rollback()

    def end_backends(self) -> int:
        """End all of the system's connections from the server's side (PostgreSQL); return how many."""
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'emailproc'"
        return len(self.rows(ended))
