"""What differs between the two kinds of database: opening a connection, beginning a transaction, reading its errors.

Used by database.py, and by what opens a file of its own (backup.py, moving.py), always on the native thread that then uses the connection. Peewee's own database classes do the rest.
"""

import socket
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

LOCK_WAIT = 5.0
"""Seconds that a statement waits for another's lock before it gives up (and its caller tries again later)."""

IDLE_LIMIT = 10.0
"""Seconds after which PostgreSQL ends a transaction in which nothing happens: its node is frozen or gone, and its locks keep others out."""

STATEMENT_LIMIT = 30.0
"""Seconds after which PostgreSQL ends a statement of ours."""

ANSWER_LIMIT = STATEMENT_LIMIT + 3.0
"""Seconds after which no answer will come any more: the connection is lost, though it may look alive to TCP (a frozen server, something between
that forgot it), and its thread is wanted."""

Fault = Literal["again", "trouble", "bug"]
"""What an error means: run the transaction again at once, tell the caller to come back later, or a fault of ours."""

native_sleep: Callable[[float], None] = monkey.get_original("time", "sleep")


class Driver(Protocol):
    """One kind of database."""

    kind: str

    def peewee(self, *, readonly: bool, patient: bool) -> Any:
        """Make a Peewee database for one thread, not connected yet; a `patient` one waits for every answer."""

    def place(self) -> object:
        """What a connection that is opened now leads to, to be compared; None when there is nothing."""

    def begin(self, *, readonly: bool) -> str:
        """Give the statement that begins a transaction: a snapshot, or one that may write."""

    def fault_of(self, error: BaseException) -> Fault:
        """Judge an error of the driver (or of Peewee, around it)."""


def cause_of(error: BaseException) -> BaseException:
    """Give the driver's own error, which Peewee's keeps as `orig`."""
    return getattr(error, "orig", error)


def is_damage(trouble: BaseException) -> bool:
    """Whether a DependencyTrouble of the database came from a file of SQLite's that is damaged, or is no database at all."""
    return isinstance(cause_of(trouble.__cause__ or trouble), apsw.CorruptError | apsw.NotADBError)


def driver_for(url: str) -> "SqliteDriver | PostgresDriver":
    """Choose by DATABASE_URL; another scheme is a SettingsError."""
    if url.startswith("sqlite:///"):
        return SqliteDriver(Path(url.removeprefix("sqlite:///")))
    if url.startswith(("postgresql://", "postgres://")):
        return PostgresDriver(url)
    raise SettingsError("DATABASE_URL must begin with sqlite:/// or postgresql://")


class Sqlite(APSWDatabase):
    """SQLite without its triggers: they serve older programs on the same file, and ours queue for the full-text index (contents.py).

    Nor would they do with our `INSERT OR FAIL` (statements.py), whose word goes for the statements of a trigger too.
    """

    def _connect(self) -> Any:
        connection = super()._connect()
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        return connection


class SqliteDriver:
    """SQLite through apsw, whose own SQLite is new enough for several writing processes."""

    kind = "sqlite"
    MISSING = ("no such ", " has no column named ")
    """Tables and columns that are away: our statements are constants, so it is never an email's fault, and a person can mend it."""
    PRAGMAS = (
        ("journal_mode", "wal"),
        ("synchronous", "full"),  # a commit is on disk before its message is acknowledged
        ("wal_autocheckpoint", 4000),
        ("journal_size_limit", 64 * 1024 * 1024),
        ("cache_size", -8000),
        ("temp_store", "memory"),
        ("secure_delete", "fast"),  # what is erased is overwritten where its page is written anyhow
    )

    READER = (("query_only", 1), ("cache_size", -1000))
    """Four readers a process: what they read again and again is in the system's cache anyhow."""

    NEW = (("auto_vacuum", 2),)
    """For a new file: incremental, so that what retention frees can be given back. On an old one it would want the lock."""

    FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX
    """No lock around each call: a connection belongs to one thread (database.py)."""

    def __init__(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise SettingsError(f"DATABASE_URL: the folder {path.parent} does not exist")
        self.path = path

    def peewee(self, *, readonly: bool, patient: bool) -> Any:  # noqa: ARG002  (a file always answers)
        """Make a Peewee database; a reader's connection refuses to write."""
        new = not self.path.exists() or self.path.stat().st_size == 0
        pragmas = (*(self.NEW if new else ()), *self.PRAGMAS, *(self.READER if readonly else ()))
        return Sqlite(
            str(self.path),
            flags=self.FLAGS,
            pragmas=pragmas,
            timeout=LOCK_WAIT,
            autoconnect=False,
            thread_safe=False,
        )

    def place(self) -> tuple[int, int] | None:
        """The file itself, whatever its name: one that was deleted or moved goes on to be written by whoever has it open."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def begin(self, *, readonly: bool) -> str:
        """Writers take the lock at once, so that a transaction never fails half-way for want of it."""
        return "BEGIN" if readonly else "BEGIN IMMEDIATE"

    def fault_of(self, error: BaseException) -> Fault:
        """Judge by apsw's class: one for each result code of SQLite."""
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
    """A connection for native threads: it waits in C, where psycopg alone would go through gevent's patched select."""

    answer_limit: float | None = ANSWER_LIMIT

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Run one of psycopg's generators to its end; OperationalError where that does not come within `answer_limit` seconds."""
        return waiting.wait_c(gen, self.pgconn.socket, interval, self.answer_limit if timeout is None else timeout)


class _NativeAdapter(peewee.Psycopg3Adapter):
    def connect(self, db: Any, **params: Any) -> Any:
        connection = NativeConnection.connect(**_resolved({**conninfo_to_dict(db.database), **params}))
        if db.patient:
            connection.answer_limit = None
        return connection


def _resolved(params: dict[str, Any]) -> dict[str, Any]:
    """Look the hosts up here: libpq would do it while it holds the interpreter lock, and the hub would stand still.

    Each of a host's addresses gets its place in libpq's lists, so that they are tried one after the other as libpq would.
    """
    hosts, ports = (str(params.get(name) or "").split(",") for name in ("host", "port"))
    if "hostaddr" in params or not all(host and not host.startswith("/") for host in hosts):
        return params
    if len(ports) not in (1, len(hosts)):
        return params  # libpq refuses it, in its own words
    addresses = [_addresses(host) for host in hosts]
    found = {**params, "host": _lined_up(hosts, addresses), "hostaddr": ",".join(chain.from_iterable(addresses))}
    return {**found, "port": _lined_up(ports, addresses)} if len(ports) > 1 else found


def _lined_up(values: Sequence[str], addresses: Sequence[Sequence[str]]) -> str:
    """Each value so often as its host has addresses."""
    return ",".join(value for value, own in zip(values, addresses, strict=True) for _ in own)


def _addresses(host: str) -> list[str]:
    """All addresses of a host, each once, in the order in which they are to be tried."""
    try:
        found = monkey.get_original("socket", "getaddrinfo")(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise psycopg.OperationalError(f"cannot resolve {host}: {error}") from error
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


class _Postgres(peewee.PostgresqlDatabase):
    psycopg3_adapter = _NativeAdapter
    patient = False


class PostgresDriver:
    """PostgreSQL through psycopg 3."""

    kind = "postgresql"
    AGAIN = ("40001", "40P01", "0A000")  # serialization, deadlock, a cached plan made stale by a migration
    MISSING = ("3F000", "42501", "42703", "42883", "42P01")
    """Schema, right, column, function or table: as with SQLite."""

    def __init__(self, url: str) -> None:
        self.url = url.replace("postgres://", "postgresql://", 1)
        try:
            self._given = conninfo_to_dict(self.url)
        except psycopg.Error as error:
            raise SettingsError(f"DATABASE_URL cannot be read: {str(error).strip()}") from error

    def peewee(self, *, readonly: bool, patient: bool) -> Any:
        """Make a Peewee database; what DATABASE_URL itself says comes first."""
        limits = {
            "statement_timeout": int(STATEMENT_LIMIT * 1000),
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
        """The server sees to its files."""
        return self.url

    def begin(self, *, readonly: bool) -> str:
        """Writers guard each change themselves; readers see one snapshot."""
        return "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if readonly else "BEGIN ISOLATION LEVEL READ COMMITTED"

    def fault_of(self, error: BaseException) -> Fault:
        """Judge by SQLSTATE, then by the class that psycopg gives it."""
        cause = cause_of(error)
        state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
        if state in self.AGAIN:
            return "again"
        if state in self.MISSING:
            return "trouble"
        troubles = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
        return "trouble" if isinstance(cause, troubles) else "bug"
