"""The differences between the two kinds of database: opening connections, beginning transactions, classifying errors.

Used by database.py, and by code that opens a file itself (backup.py, moving.py), always on the native thread that then
uses the connection. Peewee's own database classes do the rest.
"""

import logging
import math
import random
import re
import socket
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Protocol

import apsw
import peewee
import psycopg
from gevent import monkey
from playhouse.apsw_ext import APSWDatabase
from psycopg import waiting
from psycopg.conninfo import conninfo_to_dict

from engine.errors import SettingsError
from engine.files import check_place

LOCK_WAIT = 5.0
"""Seconds that a statement waits for a lock before it gives up (and its caller retries later)."""

IDLE_LIMIT = 10.0
"""Seconds after which PostgreSQL ends an idle transaction: its node is frozen or gone, and its locks block others."""

STATEMENT_LIMIT = 30.0
"""Seconds after which PostgreSQL cancels a statement, and SQLite one that only reads."""

ANSWER_LIMIT = STATEMENT_LIMIT + 3.0
"""Seconds after which no answer is expected: the connection is lost, even if it looks alive to TCP (a frozen server, or
a middlebox that dropped it), and its thread is needed."""

QUOTED = re.compile(r'(?:: | in )"')
"""Where libpq's errors begin to quote the URL."""

Fault = Literal["again", "trouble", "bug"]
"""What an error means: rerun the transaction at once, let the caller retry later, or a bug in this program."""

# When a connection is lost, psycopg warns of the second error that follows from the first, which it raises.
logging.getLogger("psycopg").setLevel(logging.ERROR)

native_sleep: Callable[[float], None] = monkey.get_original("time", "sleep")


class Driver(Protocol):
    """One kind of database."""

    kind: str

    def peewee(self, *, readonly: bool, patient: bool) -> Any:
        """Make an unconnected Peewee database for one thread; a `patient` one waits for answers without limit."""

    def place(self) -> object:
        """Return a comparable value for what a new connection would lead to; None if there is no database."""

    def begin(self, *, readonly: bool) -> str:
        """Return the statement that begins a transaction: a read-only snapshot, or a write transaction."""

    def fault_of(self, error: BaseException) -> Fault:
        """Classify an error of the driver, or of Peewee wrapped around it."""


def cause_of(error: BaseException) -> BaseException:
    """Return the driver's own error, which Peewee's error keeps as `orig`."""
    return getattr(error, "orig", error)


def is_damage(trouble: BaseException) -> bool:
    """Return whether a DependencyTrouble came from a SQLite file that is damaged or is not a database."""
    return isinstance(cause_of(trouble.__cause__ or trouble), apsw.CorruptError | apsw.NotADBError)


def is_locked(trouble: BaseException) -> bool:
    """Return whether a DependencyTrouble came from a lock that another process did not release in time."""
    return isinstance(cause_of(trouble.__cause__ or trouble), apsw.BusyError | psycopg.errors.LockNotAvailable)


def driver_for(url: str) -> "SqliteDriver | PostgresDriver":
    """Choose the driver for a DATABASE_URL. Raises SettingsError for an unknown scheme."""
    if url.startswith("sqlite:///"):
        return SqliteDriver(Path(url.removeprefix("sqlite:///")))
    if url.startswith(("postgresql://", "postgres://")):
        return PostgresDriver(url)
    raise SettingsError("DATABASE_URL must begin with sqlite:/// or postgresql://")


class Sqlite(APSWDatabase):
    """SQLite with triggers disabled: only older programs need them; contents.py queues for the full-text index itself.

    They would not work with our `INSERT OR FAIL` either (statements.py), which also applies to a trigger's statements.
    """

    def _connect(self) -> Any:
        connection = self._opened()
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        return connection

    def _opened(self) -> Any:
        """Open the file, trying again for LOCK_WAIT: several that turn a new file to WAL do not wait for each other."""
        deadline = time.monotonic() + LOCK_WAIT
        while True:
            try:
                return super()._connect()
            except apsw.BusyError:
                if time.monotonic() > deadline:
                    raise
            native_sleep(random.uniform(0.002, 0.02))


class LimitedSqlite(Sqlite):
    """A reader whose statements end after STATEMENT_LIMIT: nothing else would free its thread from a long one."""

    STEPS = 500_000
    """How many of SQLite's own steps lie between two looks at the clock: about 10 ms, in the full-text index 400 ms."""

    _ends = math.inf

    def _connect(self) -> Any:
        connection = super()._connect()
        connection.set_progress_handler(self._end_if_late, self.STEPS)
        return connection

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None) -> Any:
        """Run one statement, as in the base class."""
        self._ends = time.monotonic() + STATEMENT_LIMIT
        return super().execute_sql(sql, params)

    def _end_if_late(self) -> bool:
        if time.monotonic() > self._ends:
            raise apsw.InterruptError(f"the statement took longer than {STATEMENT_LIMIT:g} s")
        return False


class SqliteDriver:
    """SQLite through apsw, which brings an SQLite that is new enough for several writing processes."""

    kind = "sqlite"
    MISSING = ("no such ", " has no column named ")
    """Missing tables and columns: statements are constants, so no email is to blame, and an operator can fix it."""
    PRAGMAS = (
        ("journal_mode", "wal"),
        ("synchronous", "full"),  # a commit is on disk before its message is acknowledged
        ("wal_autocheckpoint", 4000),
        ("journal_size_limit", 64 * 1024 * 1024),
        ("cache_size", -8000),
        ("temp_store", "memory"),
        ("secure_delete", "fast"),  # overwrite deleted data where its page is written anyway
    )

    READER = (("query_only", 1), ("cache_size", -1000))
    """A process has four readers; what they read often is in the system's page cache anyway."""

    NEW = (("auto_vacuum", 2),)
    """For a new file: incremental, so that freed pages can be given back. On an old file it would need the lock."""

    FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX
    """NOMUTEX: no lock around each call, because a connection belongs to one thread (database.py)."""

    def __init__(self, path: Path) -> None:
        check_place(path, "DATABASE_URL")
        self.path = path

    def peewee(self, *, readonly: bool, patient: bool) -> Any:
        """Make a Peewee database; a reader's connection refuses to write."""
        new = not self.path.exists() or self.path.stat().st_size == 0
        pragmas = (*(self.NEW if new else ()), *self.PRAGMAS, *(self.READER if readonly else ()))
        kind = LimitedSqlite if readonly and not patient else Sqlite
        return kind(
            str(self.path),
            flags=self.FLAGS,
            pragmas=pragmas,
            timeout=LOCK_WAIT,
            autoconnect=False,
            thread_safe=False,
        )

    def place(self) -> tuple[int, int] | None:
        """Return device and inode: a process with a deleted or moved file open would go on writing to it."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def begin(self, *, readonly: bool) -> str:
        """Writers take the lock at once, so that a transaction cannot fail half-way while waiting for it."""
        return "BEGIN" if readonly else "BEGIN IMMEDIATE"

    def fault_of(self, error: BaseException) -> Fault:
        """Classify by apsw's exception class: there is one for each result code of SQLite."""
        bugs = (
            apsw.SQLError,
            apsw.ConstraintError,
            apsw.MismatchError,
            apsw.MisuseError,
            apsw.RangeError,
            apsw.TooBigError,
            apsw.BindingsError,
            apsw.ThreadingViolationError,
        )
        cause = cause_of(error)
        if isinstance(cause, apsw.SchemaChangeError):
            return "again"
        if isinstance(cause, apsw.SQLError) and any(words in str(cause) for words in self.MISSING):
            return "trouble"
        return "trouble" if isinstance(cause, apsw.Error) and not isinstance(cause, bugs) else "bug"


class NativeConnection(psycopg.Connection[Any]):
    """A connection for native threads: it waits in C, whereas plain psycopg would use gevent's patched select."""

    answer_limit: float | None = ANSWER_LIMIT

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Run one of psycopg's generators; OperationalError if it does not finish within `answer_limit` seconds."""
        if timeout is not None:
            return waiting.wait_c(gen, self.pgconn.socket, interval, timeout)
        try:
            return waiting.wait_c(gen, self.pgconn.socket, interval, self.answer_limit)
        except psycopg.errors._WaitTimeout as error:  # noqa: SLF001  (its only name; its text says nothing to a user)
            raise psycopg.OperationalError(f"no answer within {self.answer_limit:g} s") from error


class _NativeAdapter(peewee.Psycopg3Adapter):
    def connect(self, db: Any, **params: Any) -> Any:
        connection = NativeConnection.connect(**_resolved({**conninfo_to_dict(db.database), **params}))
        if db.patient:
            connection.answer_limit = None
        return connection


def _resolved(params: dict[str, Any]) -> dict[str, Any]:
    """Resolve the host names here: libpq would do so while holding the interpreter lock, which would block the hub.

    Each address of a host gets an entry in libpq's lists, so that they are tried in turn, as libpq itself would do.
    """
    hosts, ports = (str(params.get(name) or "").split(",") for name in ("host", "port"))
    if "hostaddr" in params or not all(host and not host.startswith("/") for host in hosts):
        return params
    if len(ports) not in (1, len(hosts)):
        return params  # libpq refuses it with its own message
    addresses = [_addresses(host) for host in hosts]
    found = {**params, "host": _lined_up(hosts, addresses), "hostaddr": ",".join(chain.from_iterable(addresses))}
    return {**found, "port": _lined_up(ports, addresses)} if len(ports) > 1 else found


def _lined_up(values: Sequence[str], addresses: Sequence[Sequence[str]]) -> str:
    """Repeat each value once for each address of its host."""
    return ",".join(value for value, own in zip(values, addresses, strict=True) for _ in own)


def _addresses(host: str) -> list[str]:
    """Return the distinct addresses of a host, in the order to try them."""
    try:
        found = monkey.get_original("socket", "getaddrinfo")(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise psycopg.OperationalError(f"cannot resolve {host}: {error}") from error
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


class _Postgres(peewee.PostgresqlDatabase):
    psycopg3_adapter = _NativeAdapter
    patient = False


def _without_quoted(error: psycopg.Error) -> str:
    """Return libpq's reason without what it quotes of the URL, which may be a password or part of one."""
    reason = QUOTED.split(str(error), maxsplit=1)[0]
    return f"{reason} (in a password, write % as %25 and a space as %20)"


class PostgresDriver:
    """PostgreSQL through psycopg 3."""

    kind = "postgresql"
    AGAIN = ("40001", "40P01", "0A000")  # serialization, deadlock, a cached plan made stale by a migration
    MISSING = ("3F000", "42501", "42703", "42883", "42P01")
    """A missing schema, privilege, column, function or table: as with SQLite."""

    def __init__(self, url: str) -> None:
        self.url = url.replace("postgres://", "postgresql://", 1)
        try:
            self._given = conninfo_to_dict(self.url)
        except psycopg.Error as error:
            raise SettingsError(f"DATABASE_URL cannot be read: {_without_quoted(error)}") from None

    def peewee(self, *, readonly: bool, patient: bool) -> Any:
        """Make a Peewee database; options in DATABASE_URL take precedence over these."""
        limits = {
            "statement_timeout": 0 if patient else int(STATEMENT_LIMIT * 1000),
            "lock_timeout": int(LOCK_WAIT * 1000),
            "idle_in_transaction_session_timeout": int(IDLE_LIMIT * 1000),
            "default_transaction_read_only": "on" if readonly else "off",
        }
        ours = " ".join(f"-c {name}={value}" for name, value in limits.items())
        defaults: dict[str, Any] = {
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 15000,
            "application_name": "emailproc",
        }
        params = {name: value for name, value in defaults.items() if name not in self._given}
        made = _Postgres(
            self.url,
            prefer_psycopg3=True,
            autoconnect=False,
            thread_safe=False,
            options=f"{ours} {self._given.get('options', '')}",
            **params,
        )
        made.patient = patient
        return made

    def place(self) -> str:
        """Return the URL: the server looks after its files itself."""
        return self.url

    def begin(self, *, readonly: bool) -> str:
        """Writers guard each change themselves, so READ COMMITTED is enough; readers see one snapshot."""
        return "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if readonly else "BEGIN ISOLATION LEVEL READ COMMITTED"

    def fault_of(self, error: BaseException) -> Fault:
        """Classify by SQLSTATE, then by psycopg's exception class."""
        cause = cause_of(error)
        state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
        if state in self.AGAIN:
            return "again"
        if state in self.MISSING:
            return "trouble"
        troubles = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
        return "trouble" if isinstance(cause, troubles) else "bug"
