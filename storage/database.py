"""The database: each store method runs in one transaction on one native thread, so that it never blocks the gevent hub.

All access to the tables goes through `Database.read` and `Database.write`. A process has one writing thread and a few
reading threads, each with its own connection. Database failures raise DependencyTrouble; the outcome of a write is then
unknown, which is why every write must be idempotent.
"""

import math
import random
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

import apsw
import peewee
import psycopg
from gevent.lock import Semaphore
from gevent.threadpool import ThreadPool

from engine.errors import DependencyTrouble
from storage import migrations
from storage.drivers import Driver, SqliteDriver, cause_of, driver_for, is_locked, native_sleep
from storage.models import current
from storage.statements import execute

P = ParamSpec("P")
T = TypeVar("T")

TRIES = 6
TURN_S, ANSWER_S = 20.0, 35.0
"""How long a transaction waits for a thread, and then for its answer, which a hung server may never give. The second is
longer than the limit of one statement, and the sum is shorter than any deadline, so that no email is charged for a
stuck database."""

FREE_PAGES = 2_000
"""Pages of SQLite's file that are freed in one step, to keep the step short."""

DRIVER_ERRORS = (peewee.PeeweeException, apsw.Error, psycopg.Error)


class Database:
    """One database, by DATABASE_URL: `sqlite:///path` or `postgresql://…`.

    Opening does not fail if the server is away, but the first call does (DependencyTrouble). An invalid URL raises
    SettingsError. The object belongs to the thread that makes it; calls from other native threads run on those threads.
    A `patient` one waits for answers without limit, for commands that go through whole tables.
    """

    def __init__(self, url: str, *, readers: int = 4, patient: bool = False) -> None:
        self.driver = driver_for(url)
        self.kind = self.driver.kind
        self._reading = _Connections(self.driver, readers, readonly=True, patient=patient)
        self._writing = _Connections(self.driver, 1, readonly=False, patient=patient)

    def read(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(*args)` in one read-only snapshot."""
        return self._reading.run(lambda: fn(*args, **kwargs))

    def write(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(*args)` in one write transaction and commit it; `fn` may be restarted from its beginning."""
        return self._writing.run(lambda: fn(*args, **kwargs))

    def outside(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(*args)` on a reading thread outside any transaction, for code with its own connection (backups)."""
        return self._reading.run(lambda: fn(*args, **kwargs), transaction=False)

    def migrate(self) -> int:
        """Bring the schema up to date, however long it takes, and return its version.

        Several processes may do so; if one waits for another too long, it raises DependencyTrouble and may try again.

        A newer schema is left alone if it allows a program as old as this one; if not, raises SettingsError.
        """
        with closing(_Connections(self.driver, 1, readonly=False, patient=True)) as connections:
            try:
                version = connections.run(migrations.migrate)
            except DependencyTrouble as trouble:
                if not is_locked(trouble):
                    raise
                raise DependencyTrouble(
                    "another process holds its lock, perhaps to bring the schema up to date", dependency="database"
                ) from trouble
        self._reading.known = self._writing.known = True
        return version

    def ping(self) -> float:
        """Return the seconds that a trivial query takes."""
        began = time.perf_counter()
        self.read(execute, "SELECT 1")
        return time.perf_counter() - began

    def size_bytes(self) -> int:
        """Return the size on disk, including the write-ahead log."""
        if isinstance(self.driver, SqliteDriver):
            files = [self.driver.path, self.driver.path.with_name(self.driver.path.name + "-wal")]
            return sum(file.stat().st_size for file in files if file.exists())
        return int(self.read(execute, "SELECT pg_database_size(current_database())")[0][0])

    def checkpoint(self) -> None:
        """Move SQLite's write-ahead log into the database, as far as readers allow; PostgreSQL does so by itself."""
        if self.kind == "sqlite":
            self._writing.run(lambda: execute("PRAGMA wal_checkpoint(TRUNCATE)"), transaction=False)

    def give_back(self) -> int:
        """Return up to FREE_PAGES free pages of SQLite's file to the disk; return how many are left (PostgreSQL: 0)."""
        if self.kind != "sqlite":
            return 0
        return self._writing.run(_give_back, transaction=False)

    def give_all_back(self, longest: float = math.inf) -> None:
        """Call `give_back` until no more pages can be freed, for at most `longest` seconds."""
        deadline = time.monotonic() + longest
        left = self.give_back()
        while left and time.monotonic() < deadline and (now := self.give_back()) < left:
            left = now

    def vacuum(self) -> None:
        """Rewrite SQLite's file without free pages and gaps; nobody else may use it meanwhile."""
        if self.kind == "sqlite":
            self._writing.run(lambda: execute("VACUUM"), transaction=False)
            self.checkpoint()

    def close(self) -> None:
        """Close all connections; calls in flight end first."""
        self._reading.close()
        self._writing.close()


class _Connections:
    """The reading or the writing connections: one per thread, opened when needed and discarded after an error.

    Each thread has a Peewee database of its own: a shared one would share a lock that gevent has patched, and native
    threads that wait for each other at such a lock may wait for ever.
    """

    def __init__(self, driver: Driver, threads: int, *, readonly: bool, patient: bool) -> None:
        self._driver = driver
        self._readonly, self._patient = readonly, patient
        self._opened: dict[int, tuple[Any, object]] = {}  # native thread → Peewee database, and its place (drivers.py)
        self._pool = ThreadPool(threads)
        # One job may wait for the next free thread. The pool's own semaphore allows as many, but not a time-out.
        self._free = Semaphore(threads + 1)
        self._owner = threading.get_native_id()
        self.known = False  # whether there has been a connection: from then on, no new file replaces a missing one

    def run(self, job: Callable[[], T], *, transaction: bool = True) -> T:
        """Run `job` on a thread of the pool, or on the calling thread if that is not the owner's.

        Raises DependencyTrouble if the database does not answer in time. Patient connections, and jobs without a
        transaction, have no time limit.
        """
        bounded = transaction and not self._patient
        if threading.get_native_id() != self._owner:
            return self._whole(job, transaction=transaction)
        if not self._free.acquire(timeout=TURN_S if bounded else None):
            raise DependencyTrouble(f"no thread was free for {TURN_S:g} s", dependency="database")
        try:
            result = self._pool.spawn(self._caught, job, transaction)
        except BaseException:
            self._free.release()
            raise
        result.rawlink(lambda _: self._free.release())  # when the job ends, even if nobody waits for it any more
        result.wait(timeout=ANSWER_S if bounded else None)
        if not result.ready():
            raise DependencyTrouble(f"no answer within {ANSWER_S:g} s", dependency="database")
        outcome = result.get()
        if isinstance(outcome, _Failure):
            raise outcome.error
        return cast("T", outcome)

    def close(self) -> None:
        """End the threads and close the connections."""
        if threading.get_native_id() == self._owner:
            self._pool.kill()
        for database, _ in list(self._opened.values()):
            database.connection().close()
        self._opened.clear()

    def _caught(self, job: Callable[[], T], transaction: bool) -> "T | _Failure":
        """Return errors as values: gevent would print those that pass through its pool."""
        try:
            return self._whole(job, transaction=transaction)
        except BaseException as error:  # noqa: BLE001  (raised again in the calling greenlet)
            return _Failure(error)

    def _whole(self, job: Callable[[], T], *, transaction: bool) -> T:
        """Run the job, retrying it if it only lost against another transaction."""
        for tried in range(1, TRIES + 1):
            try:
                return self._in_transaction(job) if transaction else self._plainly(job)
            except DRIVER_ERRORS as error:
                self._throw_away()
                fault = self._driver.fault_of(error)
                if fault == "bug":
                    raise
                if fault == "trouble" or tried == TRIES:
                    raise _trouble(cause_of(error)) from error
            native_sleep(random.uniform(0.002, 0.02) * tried)
        raise AssertionError("the last try returns or raises")

    def _in_transaction(self, job: Callable[[], T]) -> T:
        return self._plainly(lambda: self._committed(job))

    def _committed(self, job: Callable[[], T]) -> T:
        current.execute_sql(self._driver.begin(readonly=self._readonly))
        try:
            value = job()
        except BaseException:
            self._roll_back()
            raise
        current.execute_sql("COMMIT")
        return value

    def _plainly(self, job: Callable[[], T]) -> T:
        current.enter(self._connected())
        try:
            return job()
        finally:
            current.enter(None)

    def _connected(self) -> Any:
        """Return this thread's connection, reopened if the file was replaced, so that no write goes to a stale file."""
        place = self._driver.place()
        database, led_to = self._opened.get(threading.get_native_id(), (None, None))
        if database is not None and led_to == place:
            return database
        self._throw_away()
        if place is None and self.known:
            raise DependencyTrouble(
                "its file is gone: put it back, or start again with a new one", dependency="database"
            )
        database = self._driver.peewee(readonly=self._readonly, patient=self._patient)
        database.connect()
        self._opened[threading.get_native_id()] = database, self._driver.place()
        self.known = True
        return database

    def _roll_back(self) -> None:
        try:
            current.execute_sql("ROLLBACK")
        except DRIVER_ERRORS:
            self._throw_away()

    def _throw_away(self) -> None:
        """Close and forget this thread's connection, whose state after an error is unknown."""
        database, _ = self._opened.pop(threading.get_native_id(), (None, None))
        if database is not None:
            with suppress(*DRIVER_ERRORS):
                database.connection().close()


def _give_back() -> int:
    free = int(execute("PRAGMA freelist_count")[0][0])
    if free:
        execute(f"PRAGMA incremental_vacuum({FREE_PAGES})")
        free = int(execute("PRAGMA freelist_count")[0][0])
    return free


@dataclass(frozen=True)
class _Failure:
    error: BaseException


def _trouble(cause: BaseException) -> DependencyTrouble:
    lines = str(cause).strip().splitlines() or [""]
    return DependencyTrouble(f"{type(cause).__name__}: {lines[0]}", dependency="database")
