"""Moves a SQLite database to PostgreSQL, table by table in batches.

Each batch and its position commit in one transaction, so that a killed move resumes without loss. The command
`migrate-store` calls this while nothing else uses either database. The target carries a mark until all data is there
and checked, and no server starts on it before that (migrations.py). The books' id moves with the data, and the source
that is left behind gets a new one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.errors import SettingsError
from engine.unicode import storable
from storage import meta, migrations
from storage.books import Books
from storage.database import Database
from storage.drivers import SqliteDriver
from storage.migrations import FILLING, STEPS
from storage.models import current
from storage.statements import encode_json, execute

KEPT_APART = {"meta", "search", "unindexed"}
"""Tables that are not copied row by row.

The full-text index is rebuilt: PostgreSQL's triggers queue each content row as it is inserted. `meta` is copied last.
"""

BATCH_BYTES = 4 * 1024 * 1024
MOST_ROWS = 5_000

Convert = Callable[[Any], Any]

MOVED = "moved_from"
"""The name in the target's meta table that keeps the Mark of a finished move."""

EMPTY = "take an empty database, such as a new one by createdb"

STRANGERS = """
    SELECT table_name FROM information_schema.tables AS there
    WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND NOT EXISTS (
        SELECT 1 FROM information_schema.tables AS ours
        WHERE ours.table_schema = there.table_schema AND ours.table_name = 'meta'
    ) ORDER BY table_name LIMIT 1
"""
"""Selects the first table of a database that has tables, but not our `meta`."""


class Mark(msgspec.Struct):
    """The progress of a move, kept in the target's meta table."""

    books_id: str
    source: tuple[int, int]  # size and mtime of the SQLite file: if they differ, the copy starts from the beginning
    places: dict[str, int] = {}  # table → the last rowid that was copied


@dataclass(frozen=True, slots=True)
class TableCount:
    """The number of rows that a table has in the source and in the target."""

    table: str
    source: int
    target: int


class Move:
    """One move. Call `prepare`, `copy`, `check`, `finish` in that order; after a kill, start again with `prepare`."""

    def __init__(self, source: Database, target: Database) -> None:
        self.source, self.target = source, target
        self.books_id = ""
        self.mark = Mark("", (0, 0))
        self.tables: list[str] = []
        self.complete = False  # the target already has all data and the books' id
        self.restarted = False  # an unfinished copy of another source, or of an older state, was discarded

    # -- beginning -------------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Inspect both sides and mark the target; sets `complete` if the data is there and only `finish` is left.

        Raises SettingsError with a one-line message if the source's schema is too new, if the target is not empty, or
        if the move is complete but the source has been used since.
        """
        if _schema(self.source) < len(STEPS):
            self.source.migrate()
        if (version := _schema(self.source)) > len(STEPS):
            raise SettingsError(
                f"the source has schema {version} and this program knows {len(STEPS)}: use the newer one"
            )
        self.source.checkpoint()
        self.books_id = Books(self.source).books_id()
        self.source.checkpoint()
        self.tables = _tables(self.source)
        wanted = Mark(self.books_id, _fingerprint(self.source))
        found = self.target.write(_looked_at, self.tables)
        if isinstance(found, str):
            if found != self.books_id:
                raise SettingsError(f"these books were already moved there, or the target has others: {EMPTY}")
            if self.target.read(_moved_from) != wanted.source:
                raise SettingsError(f"these books were already moved there, and the source was used since: {EMPTY}")
            self.complete = True
            return
        if found is not None and (found.books_id, found.source) == (wanted.books_id, wanted.source):
            self.mark = found
            return
        self.restarted = found is not None
        self.mark = wanted
        self.target.write(_begin, wanted, self.tables)

    def total(self) -> int:
        """Return the number of rows in all tables of the source."""
        return sum(self.source.read(_count, table) for table in self.tables)

    def done(self) -> int:
        """Return the number of rows that are in the target already."""
        return sum(self.target.read(_count, table) for table in self.mark.places)

    # -- copying ---------------------------------------------------------------------------------------------------------

    def copy(self) -> Iterator[tuple[str, int]]:
        """Copy the missing rows; yield the table and the number of rows of each batch once it is committed."""
        for table in self.tables:
            columns = self.source.read(_columns, table)
            kinds = self.target.read(_kinds, table)
            if missing := sorted(set(columns) - set(kinds)):
                raise SettingsError(
                    f"table {table} of the source has columns that are unknown here: {', '.join(missing)}"
                )
            converts = [_convert(kinds[column]) for column in columns]
            limit = 100
            while batch := self.source.read(_batch, table, columns, self.mark.places.get(table, -(2**63)), limit):
                rows, size = batch
                places = {**self.mark.places, table: int(rows[-1][0])}
                self.target.write(
                    _store, table, columns, converts, rows, msgspec.structs.replace(self.mark, places=places)
                )
                self.mark.places = places
                yield table, len(rows)
                limit = min(MOST_ROWS, limit * 2) if size < BATCH_BYTES // 2 else max(10, limit // 2)

    # -- the end ---------------------------------------------------------------------------------------------------------

    def check(self) -> list[TableCount]:
        """Return the row counts of every table on both sides.

        Raises SettingsError if the counts or the audits differ, or if the source was written to in the meantime.
        """
        self._see_that_nobody_wrote()
        counts = [
            TableCount(table, self.source.read(_count, table), self.target.read(_count, table)) for table in self.tables
        ]
        wrong = [each for each in counts if each.source != each.target]
        if wrong:
            told = ", ".join(f"{each.table} {each.source} and {each.target}" for each in wrong)
            raise SettingsError(f"the counts differ: {told}: run the command again")
        ours, theirs = (
            msgspec.structs.replace(Books(each).audit(), as_of=0.0, unaccounted=0)
            for each in (self.source, self.target)
        )
        if ours != theirs:
            raise SettingsError(f"the audits differ: {ours} and {theirs}")
        return counts

    def _see_that_nobody_wrote(self) -> None:
        """Raise SettingsError if the file changed, or if its write-ahead log, which `prepare` emptied, is not empty."""
        assert isinstance(self.source.driver, SqliteDriver)
        path = self.source.driver.path
        log = path.with_name(path.name + "-wal")
        if _fingerprint(self.source) != self.mark.source or (log.exists() and log.stat().st_size):
            raise SettingsError(f"{path} was written to in the meantime: stop what uses it, and run the command again")

    def finish(self) -> None:
        """Copy the remaining facts and the books' id, and remove the mark, in one transaction.

        The source then gets a new books' id.
        """
        if not self.complete:
            self._see_that_nobody_wrote()
            facts = self.source.read(
                execute, "SELECT name, value FROM meta WHERE name NOT IN ('schema_version', 'schema_oldest')"
            )
            self.target.write(_finish, facts, self.mark)
        Books(self.source).renew_books_id(instead_of=self.books_id)
        self.source.checkpoint()


# -- the source


def _schema(database: Database) -> int:
    def version() -> int:
        has_meta = execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'")
        return int(meta.get("schema_version") or 0) if has_meta else 0

    return database.read(version)


def _fingerprint(source: Database) -> tuple[int, int]:
    """Return the file's size and mtime. After a checkpoint, any later write shows in them or in the write-ahead log."""
    assert isinstance(source.driver, SqliteDriver)
    found = source.driver.path.stat()
    return found.st_size, found.st_mtime_ns


def _tables(source: Database) -> list[str]:
    names = source.read(execute, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
    return [name for (name,) in names if name not in KEPT_APART and not name.startswith(("sqlite_", "search_"))]


def _columns(table: str) -> list[str]:
    return [str(row[1]) for row in execute(f'PRAGMA table_info("{table}")')]


def _batch(table: str, columns: list[str], after: int, limit: int) -> tuple[list[tuple[Any, ...]], int] | None:
    """Return the rows after a position, each led by its rowid, and their approximate size; None at the end."""
    names = ", ".join(f'"{column}"' for column in columns)
    rows = execute(f'SELECT rowid, {names} FROM "{table}" WHERE rowid > ? ORDER BY rowid LIMIT ?', [after, limit])
    if not rows:
        return None
    return rows, sum(len(value) for row in rows for value in row if isinstance(value, str | bytes))


def _count(table: str) -> int:
    return int(execute(f'SELECT COUNT(*) FROM "{table}"')[0][0])


# -- the target


def _looked_at(tables: list[str]) -> Mark | str | None:
    """Create the schema; return the mark of an unfinished move, or the id of the books there, or None if empty."""
    if strangers := execute(STRANGERS):
        raise SettingsError(f"the target is not an empty database, it has a table {strangers[0][0]!r}: {EMPTY}")
    migrations.migrate(filling=True)
    if mark := meta.get(FILLING):
        return msgspec.json.decode(mark, type=Mark)
    if books_id := meta.get("books_id"):
        return books_id
    if any(execute(f'SELECT 1 FROM "{table}" LIMIT 1') for table in tables):
        return "without a name"
    return None


def _begin(mark: Mark, tables: list[str]) -> None:
    names = ", ".join(f'"{table}"' for table in (*tables, "search", "unindexed"))
    execute(f"TRUNCATE {names}")
    meta.put(FILLING, encode_json(mark).decode())


def _kinds(table: str) -> dict[str, str]:
    sql = "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = ?"
    return dict(execute(sql, [table]))


def _convert(kind: str) -> Convert | None:
    """Return how to convert SQLite's values for a PostgreSQL column type, or None if they fit as they are."""
    if kind == "boolean":
        return lambda value: None if value is None else bool(value)
    if kind in ("smallint", "integer", "bigint"):
        return lambda value: None if value is None else int(value)
    if kind == "text":
        return lambda value: storable(value) if isinstance(value, str) else value
    return None


def _store(
    table: str, columns: list[str], converts: list[Convert | None], rows: list[tuple[Any, ...]], mark: Mark
) -> None:
    """Store a batch and its position. A plain COPY suffices, as rows up to the position are stored already."""
    names = ", ".join(f'"{column}"' for column in columns)
    with current.cursor().copy(f'COPY "{table}" ({names}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row(
                [value if convert is None else convert(value) for convert, value in zip(converts, row[1:], strict=True)]
            )
    meta.put(FILLING, encode_json(mark).decode())


def _moved_from() -> tuple[int, int] | None:
    """Return the source's fingerprint as of the finished move, or None if there was none."""
    mark = meta.get(MOVED)
    return msgspec.json.decode(mark, type=Mark).source if mark else None


def _finish(facts: list[tuple[str, str]], mark: Mark) -> None:
    for name, value in facts:
        meta.put(name, value)
    meta.put("books_id", mark.books_id)
    meta.put(MOVED, encode_json(msgspec.structs.replace(mark, places={})).decode())
    execute("DELETE FROM meta WHERE name = ?", [FILLING])
    owned = execute(
        "SELECT table_name, column_name, pg_get_serial_sequence(quote_ident(table_name), column_name) "
        "FROM information_schema.columns WHERE table_schema = current_schema() AND column_default LIKE ?",
        ["nextval%"],
    )
    for table, column, sequence in owned:
        execute(
            f'SELECT setval(\'{sequence}\', COALESCE(MAX("{column}"), 1), MAX("{column}") IS NOT NULL) FROM "{table}"'
        )
