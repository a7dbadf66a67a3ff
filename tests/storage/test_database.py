"""The database's reads and writes: whole transactions on native threads, translated errors, and an unblocked hub."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import apsw
import gevent
import peewee
import psycopg
import pytest
from playhouse.apsw_ext import APSWDatabase

from engine.errors import DependencyTrouble, SettingsError, StaleError
from storage.books import Books
from storage.database import Database
from storage.drivers import PostgresDriver, native_sleep
from storage.migrations import STEPS
from storage.models import DesiredRow
from storage.records import Look
from storage.results import ResultStore
from storage.statements import execute, insert
from tests.servers import wait_until
from tests.storage.books_fixtures import URL, open_database
from tests.storage.conftest import empty

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sqlite(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/emails.db")
    yield database
    database.close()


def put(name: str, value: str = "1") -> None:
    execute("INSERT INTO desired (name, value, version) VALUES (?, ?, 1)", [name, value])


def names() -> list[str]:
    return sorted(name for (name,) in execute("SELECT name FROM desired"))


def url_of(db: Database) -> str:
    return db.driver.url if isinstance(db.driver, PostgresDriver) else f"sqlite:///{db.driver.path}"


def test_a_write_is_whole_or_nothing(db):
    def half():
        put("a")
        raise StaleError("moved on")

    with pytest.raises(StaleError):
        db.write(half)
    db.write(put, "b")
    assert db.read(names) == ["b"]


def test_a_statement_that_fails_at_its_last_row_leaves_none_of_the_others(db):
    rows = [(f"name-{number}", "1", number) for number in range(64)]
    with pytest.raises((apsw.ConstraintError, psycopg.IntegrityError, peewee.IntegrityError)):
        db.write(insert, DesiredRow, ("name", "value", "version"), [*rows[:-1], rows[0]])
    assert db.read(execute, "SELECT COUNT(*) FROM desired") == [(0,)]
    db.write(insert, DesiredRow, ("name", "value", "version"), rows)
    assert db.read(execute, "SELECT COUNT(*) FROM desired") == [(64,)]


def test_models_work_inside_a_transaction_and_refuse_outside(db):
    db.write(lambda: DesiredRow.create(name="a", value="1", version=1))
    assert db.read(lambda: [row.name for row in DesiredRow.select()]) == ["a"]
    with pytest.raises(AttributeError, match=r"inside Database\.read"):
        list(DesiredRow.select())


def test_a_read_cannot_write(db):
    with pytest.raises(Exception, match=r"read-?only"):
        db.read(put, "a")


def test_a_read_is_one_snapshot(db):
    other = Database(url_of(db))

    def twice():
        before = names()
        wrote.wait(5)
        return before, names()

    wrote = _NativeEvent()
    reader = gevent.spawn(db.read, twice)
    gevent.sleep(0.05)
    other.write(put, "a")
    wrote.set()
    before, after = reader.get(timeout=5)
    assert before == after
    other.close()


class _NativeEvent:
    """An event between native threads, which gevent's patched one does not support."""

    def __init__(self) -> None:
        self.is_set = False

    def set(self) -> None:
        self.is_set = True

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.is_set and time.monotonic() < end:
            gevent.monkey.get_original("time", "sleep")(0.002)


def test_a_fault_of_ours_is_raised_as_it_is(db):
    db.write(put, "a")
    with pytest.raises(Exception, match=r"(?i)unique"):
        db.write(put, "a")
    with pytest.raises(Exception, match=r"(?i)nowhere"):
        db.read(execute, "SELECT * FROM nowhere")
    assert db.read(names) == ["a"]


def test_it_works_from_another_native_thread(db):
    pool = gevent.get_hub().threadpool
    pool.apply(db.write, (put, "a"))
    assert pool.apply(db.read, (names,)) == ["a"]
    assert db.read(names) == ["a"]


def test_many_greenlets_share_the_threads(db):
    writers = [gevent.spawn(db.write, put, f"n{number:02d}") for number in range(20)]
    readers = [gevent.spawn(db.read, names) for _ in range(20)]
    gevent.joinall(writers, timeout=10, raise_error=True)
    gevent.joinall(readers, timeout=10, raise_error=True)
    assert len(db.read(names)) == 20


def test_a_read_that_takes_too_long_is_ended_and_frees_its_thread(db, monkeypatch):
    monkeypatch.setattr("storage.drivers.STATEMENT_LIMIT", 0.2)
    monkeypatch.setattr("storage.database.ANSWER_S", 10.0)
    limited, patient = Database(url_of(db), readers=1), Database(url_of(db), patient=True)
    for _ in range(2):
        with pytest.raises(DependencyTrouble, match=r"took longer|statement timeout"):
            limited.read(execute, f"{COUNTING} SELECT COUNT(*) FROM numbers")
    assert limited.read(names) == []
    assert patient.read(execute, f"{COUNTING} SELECT COUNT(*) FROM (SELECT 1 FROM numbers LIMIT 2000000) AS few")
    limited.close()
    patient.close()


COUNTING = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers)"
"""Counts for ever."""


def test_ping_and_size_and_checkpoint(db):
    db.write(put, "a")
    assert 0 < db.ping() < 5
    db.checkpoint()
    assert db.size_bytes() > 10_000


def test_migrating_is_repeatable_and_safe_from_many_at_once(database_url):
    databases = [Database(database_url) for _ in range(3)]
    versions = [gevent.spawn(database.migrate) for database in databases]
    assert len({each.get(timeout=20) for each in versions}) == 1
    assert databases[0].migrate() == versions[0].get()
    for database in databases:
        database.close()


def test_who_has_to_wait_while_another_migrates_is_told_so(database_url, monkeypatch):
    migrating, waiting = open_database(database_url), Database(database_url)
    monkeypatch.setattr("storage.drivers.LOCK_WAIT", 0.2)
    began, over = _NativeEvent(), _NativeEvent()

    def step() -> None:
        began.set()
        over.wait(20)

    monkeypatch.setattr("storage.migrations.STEPS", (*STEPS, step))
    first = gevent.spawn(migrating.migrate)
    wait_until(lambda: began.is_set, "the long step")
    with pytest.raises(DependencyTrouble, match="another process holds its lock"):
        waiting.migrate()
    over.set()
    first.get(timeout=20)
    assert waiting.migrate() == len(STEPS) + 1
    migrating.close()
    waiting.close()


def test_a_new_file_that_others_are_turning_to_wal_is_opened_a_moment_later(tmp_path, monkeypatch):
    """SQLite says busy at once then, whatever the busy timeout (seen under load, with six that open one new file)."""
    opened, busy = APSWDatabase._connect, [apsw.BusyError("database is locked")] * 3

    def connect(database):
        if busy:
            raise busy.pop()
        return opened(database)

    monkeypatch.setattr(APSWDatabase, "_connect", connect)
    db = Database(f"sqlite:///{tmp_path}/emails.db")
    assert db.migrate() == len(STEPS)
    assert not busy
    db.close()


def newer_schema(db, oldest):
    """Leave the schema as a newer program would: `oldest` is the oldest program schema that may go on."""
    db.write(execute, "UPDATE meta SET value = '999' WHERE name = 'schema_version'")
    db.write(execute, "UPDATE meta SET value = ? WHERE name = 'schema_oldest'", [str(oldest)])


@pytest.mark.parametrize("oldest", [999, len(STEPS) + 1])
def test_a_newer_schema_that_needs_a_newer_program_is_refused_in_one_line(database_url, oldest):
    db = open_database(database_url)
    newer_schema(db, oldest)
    with pytest.raises(SettingsError, match="schema 999") as refusal:
        db.migrate()
    assert "\n" not in str(refusal.value)
    db.close()


@pytest.mark.parametrize("oldest", [len(STEPS), 1])
def test_a_newer_schema_that_lets_older_programs_go_on_stays_as_it_is(database_url, oldest):
    db = open_database(database_url)
    newer_schema(db, oldest)
    assert db.migrate() == 999
    facts = dict(db.read(execute, "SELECT name, value FROM meta WHERE name IN ('schema_version', 'schema_oldest')"))
    assert facts == {"schema_version": "999", "schema_oldest": str(oldest)}
    db.close()


@pytest.mark.parametrize("url", ["mysql://x", "sqlite:///no/such/folder/x.db", "postgresql://h/?nonsense=1", ""])
def test_a_url_that_cannot_be_is_a_settings_error(url):
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        Database(url)


def test_a_lock_wait_does_not_stop_other_greenlets(sqlite):
    other = apsw.Connection(str(sqlite.driver.path))
    other.execute("BEGIN EXCLUSIVE")
    writer = gevent.spawn(sqlite.write, put, "a")
    ticks = 0
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        gevent.sleep(0.005)
        ticks += 1
    assert not writer.ready()
    assert ticks > 15
    assert sqlite.read(names) == []
    other.execute("COMMIT")
    writer.get(timeout=5)
    assert sqlite.read(names) == ["a"]
    other.close()


def test_a_lock_that_is_not_given_back_is_trouble_of_the_database(tmp_path, monkeypatch):
    monkeypatch.setattr("storage.drivers.LOCK_WAIT", 0.05)
    db = open_database(f"sqlite:///{tmp_path}/emails.db")
    other = apsw.Connection(f"{tmp_path}/emails.db")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DependencyTrouble, match="BusyError") as trouble:
        db.write(put, "a")
    assert trouble.value.dependency == "database"
    other.execute("ROLLBACK")
    db.write(put, "a")
    other.close()
    db.close()


def test_a_database_that_gives_no_answer_is_trouble_and_what_it_did_after_all_stands(sqlite, monkeypatch):
    monkeypatch.setattr("storage.database.ANSWER_S", 0.05)
    held = _NativeEvent()

    def hang():
        held.wait(5.0)
        put("a")

    with pytest.raises(DependencyTrouble, match="no answer") as trouble:
        sqlite.write(hang)
    assert trouble.value.dependency == "database"
    with pytest.raises(DependencyTrouble, match="no answer"):
        sqlite.write(put, "b")  # waits its turn on the thread; it may also be done
    held.set()
    monkeypatch.undo()
    sqlite.write(put, "c")
    assert sqlite.read(names) == ["a", "b", "c"]


def test_a_patient_one_waits_for_every_answer(tmp_path, monkeypatch):
    monkeypatch.setattr("storage.database.ANSWER_S", 0.01)
    db = Database(f"sqlite:///{tmp_path}/emails.db", patient=True)
    db.write(execute, "CREATE TABLE thing (name TEXT)")

    def slow():
        native_sleep(0.1)
        execute("INSERT INTO thing VALUES ('a')")

    db.write(slow)
    assert db.read(execute, "SELECT name FROM thing") == [("a",)]
    db.close()


def test_who_gets_no_turn_in_time_is_told_of_trouble_and_its_job_is_left_undone(sqlite, monkeypatch):
    monkeypatch.setattr("storage.database.TURN_S", 0.05)
    held = _NativeEvent()

    def hold():
        put("a")
        held.wait(5.0)

    first = gevent.spawn(sqlite.write, hold)
    gevent.sleep(0.01)
    next_one, *others = (gevent.spawn(sqlite.write, put, name) for name in "bcd")
    gevent.joinall(others, timeout=2)
    assert all(isinstance(each.exception, DependencyTrouble) for each in others)
    with pytest.raises(DependencyTrouble, match="no thread was free") as trouble:
        sqlite.write(put, "e")
    assert trouble.value.dependency == "database"
    held.set()
    first.get(timeout=5)
    next_one.get(timeout=5)
    sqlite.write(put, "f")
    assert sqlite.read(names) == ["a", "b", "f"]


def test_a_table_or_a_column_that_is_away_is_trouble_and_no_fault_of_an_email(db):
    """As while a dump is being restored: no email must lose tries over it."""
    db.write(execute, "ALTER TABLE desired RENAME TO elsewhere")
    for door, job in ((db.write, lambda: put("a")), (db.read, names)):
        with pytest.raises(DependencyTrouble, match="desired"):
            door(job)
    db.write(execute, "ALTER TABLE elsewhere RENAME TO desired")
    db.write(execute, "ALTER TABLE desired RENAME COLUMN version TO elsewhere")
    with pytest.raises(DependencyTrouble, match="version"):
        db.write(put, "a")
    db.write(execute, "ALTER TABLE desired RENAME COLUMN elsewhere TO version")
    db.write(put, "a")


@pytest.mark.postgres
def test_a_right_that_is_missing_is_trouble_and_a_statement_that_makes_no_sense_is_a_bug(postgres_db):
    def without_rights():
        execute("CREATE ROLE nobody_at_all NOLOGIN")
        execute("SET LOCAL ROLE nobody_at_all")
        put("a")

    with pytest.raises(DependencyTrouble, match="permission denied"):
        postgres_db.write(without_rights)
    with pytest.raises(peewee.ProgrammingError):
        postgres_db.write(execute, "SELEKT 1")


@pytest.mark.postgres
def test_a_node_that_is_frozen_in_a_transaction_keeps_others_out_for_seconds_only(postgres_db, monkeypatch):
    monkeypatch.setattr("storage.drivers.IDLE_LIMIT", 0.3)
    frozen = Database(postgres_db.driver.url)
    postgres_db.write(put, "a")

    def freeze():
        execute("UPDATE desired SET value = 'b'")
        native_sleep(1.5)
        execute("UPDATE desired SET value = 'c'")

    sleeper = gevent.spawn(frozen.write, freeze)
    gevent.sleep(0.2)
    began = time.monotonic()
    postgres_db.write(execute, "UPDATE desired SET value = 'd'")
    assert time.monotonic() - began < 1.2
    with pytest.raises(DependencyTrouble):
        sleeper.get(timeout=10)
    assert postgres_db.read(execute, "SELECT value FROM desired") == [("d",)]
    frozen.close()


def test_a_full_disk_is_trouble_and_passes(sqlite):
    def fill():
        execute("PRAGMA max_page_count = 1")
        put("a", "x" * 10_000_000)

    with pytest.raises(DependencyTrouble, match="FullError"):
        sqlite.write(fill)
    sqlite.write(put, "b")
    assert sqlite.read(names) == ["b"]


def test_a_file_that_is_no_database_is_trouble(tmp_path):
    (tmp_path / "emails.db").write_bytes(b"this is no database file" * 1000)
    db = Database(f"sqlite:///{tmp_path}/emails.db")
    with pytest.raises(DependencyTrouble, match="NotADB"):
        db.migrate()
    db.close()


def test_a_file_that_is_moved_away_while_open_is_trouble_until_it_is_back_and_no_empty_one_takes_its_place(sqlite):
    path = sqlite.driver.path
    sqlite.write(put, "a")
    assert sqlite.read(names) == ["a"]
    path.rename(path.with_name("elsewhere.db"))
    for door, job in ((sqlite.read, names), (sqlite.write, lambda: put("b"))):
        with pytest.raises(DependencyTrouble, match="its file is gone"):
            door(job)
    assert not path.exists()
    path.with_name("elsewhere.db").rename(path)
    sqlite.write(put, "c")
    assert sqlite.read(names) == ["a", "c"]


def test_a_file_that_is_put_in_the_place_of_another_is_the_one_that_is_used(sqlite, tmp_path):
    sqlite.write(put, "a")
    (tmp_path / "other").mkdir()
    other = open_database(f"sqlite:///{tmp_path}/other/emails.db")
    other.write(put, "b")
    other.close()
    for file in tmp_path.glob("emails.db*"):
        file.unlink()
    (tmp_path / "other/emails.db").rename(sqlite.driver.path)
    assert sqlite.read(names) == ["b"]
    sqlite.write(put, "c")
    assert sqlite.read(names) == ["b", "c"]


def test_a_reader_that_stays_open_lets_the_log_grow_by_what_is_written_and_its_end_lets_it_shrink(sqlite):
    """Like ten minutes of writing under an open SELECT: the amount written in the meantime matters, here 80 MB."""
    sqlite.write(put, "a")
    log = sqlite.driver.path.with_name("emails.db-wal")
    foreign = apsw.Connection(str(sqlite.driver.path))
    foreign.execute("BEGIN")
    assert foreign.execute("SELECT COUNT(*) FROM desired").get == 1
    for nth in range(80):
        sqlite.write(put, f"big-{nth}", "x" * 1_000_000)
    assert 80_000_000 < log.stat().st_size < 90_000_000
    assert foreign.execute("SELECT COUNT(*) FROM desired").get == 1
    foreign.close()
    sqlite.write(put, "b")
    sqlite.write(put, "c")
    assert log.stat().st_size <= 64 * 1024 * 1024
    sqlite.checkpoint()
    assert log.stat().st_size == 0
    assert len(sqlite.read(names)) == 83


def test_without_a_reader_that_stays_the_log_is_bounded(sqlite):
    log = sqlite.driver.path.with_name("emails.db-wal")
    largest = 0
    for nth in range(80):
        sqlite.write(put, f"big-{nth}", "x" * 1_000_000)
        assert len(sqlite.read(names)) == nth + 1
        largest = max(largest, log.stat().st_size)
    assert largest < 20 * 1024 * 1024


def test_sqlite_is_new_enough_for_several_writers_and_syncs_each_commit(sqlite):
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 51, 3)
    assert sqlite.write(execute, "PRAGMA synchronous") == [(2,)]
    assert sqlite.write(execute, "PRAGMA journal_mode") == [("wal",)]
    assert sqlite.write(execute, "PRAGMA auto_vacuum") == [(2,)]


CHILD = """
import sys
from storage.results import ResultStore
from tests.storage.books_fixtures import open_database, result
url, shard, ref, first, last = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
db = open_database(url)
store = ResultStore(db)
for start in range(first, last, 20):
    batch = [result(ref + number, f"e{number:04d}") for number in range(start, start + 20)]
    assert all(store.save(batch, shard=shard))
db.close()
"""


def test_two_processes_saving_at_once_lose_and_double_nothing(db):
    books = Books(db)
    source = books.open_source("main", URL)
    rows = books.enter(source, [f"e{number:04d}" for number in range(600)], Look("poll", 1.0), lane="normal")
    first = str(rows[0][0])
    # Both children save the middle third: the second one gets the first one's results.
    parts = [("p1", first, "0", "400"), ("p2", first, "200", "600")]
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, url_of(db), *part], cwd=ROOT, stderr=subprocess.PIPE)
        for part in parts
    ]
    for child in children:
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors.decode()
    audit = books.audit()
    assert (audit.listed, audit.results, audit.queued) == (600, 600, 0)
    assert ResultStore(db).stats(time.time()).total_emails_processed == 600


def test_rows_appear_in_the_order_of_their_numbers_under_two_writers(db):
    source = Books(db).open_source("main", URL)
    others = [Database(url_of(db)) for _ in range(2)]

    def write(database, name):
        for number in range(30):
            Books(database).enter(
                source, [f"{name}{number}-{each}" for each in range(5)], Look("poll", 1.0), lane="normal"
            )

    writers = [gevent.spawn(write, database, f"w{number}-") for number, database in enumerate(others)]
    seen: list[int] = []
    while True:
        done = all(writer.ready() for writer in writers)
        rows = Books(db).open_rows(source.id, "normal", seen[-1] if seen else 0, 1000)
        seen += [row.feed_seq for row in rows]
        if done and not rows:
            break
        gevent.sleep(0)
    gevent.joinall(writers, raise_error=True)
    assert len(seen) == 300, "a row became visible below a number that had been passed"
    for database in others:
        database.close()


@pytest.fixture
def postgres_db(migrated_postgres):
    yield migrated_postgres
    migrated_postgres.write(empty)


@pytest.mark.postgres
def test_a_transaction_that_lost_against_another_is_run_again_whole(postgres_db):
    tries = []

    def job():
        tries.append(1)
        put("a")
        if len(tries) < 3:
            execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")

    postgres_db.write(job)
    assert len(tries) == 3
    assert postgres_db.read(names) == ["a"]


@pytest.mark.postgres
def test_a_deadlock_ends_with_both_writes_done(postgres_db):
    other = Database(postgres_db.driver.url)
    postgres_db.write(put, "a")
    postgres_db.write(put, "b")
    native_sleep = gevent.monkey.get_original("time", "sleep")

    def add(first, second):
        for name in (first, second):
            execute("UPDATE desired SET version = version + 1 WHERE name = ?", [name])
            native_sleep(0.05)

    jobs = [gevent.spawn(postgres_db.write, add, "a", "b"), gevent.spawn(other.write, add, "b", "a")]
    gevent.joinall(jobs, timeout=20, raise_error=True)
    assert postgres_db.read(execute, "SELECT DISTINCT version FROM desired") == [(3,)]
    other.close()


@pytest.mark.postgres
def test_a_lost_connection_is_trouble_once_and_then_a_new_one(postgres_db):
    (pid,) = postgres_db.write(execute, "SELECT pg_backend_pid()")[0]
    postgres_db.read(execute, "SELECT 1")
    other = Database(postgres_db.driver.url)
    other.write(execute, "SELECT pg_terminate_backend(?)", [pid])
    with pytest.raises(DependencyTrouble):
        postgres_db.write(put, "a")
    postgres_db.write(put, "a")
    other.close()


@pytest.mark.postgres
def test_a_connection_over_which_no_answer_comes_is_given_up_for_a_new_one(postgres_db, monkeypatch):
    db = Database(postgres_db.driver.url)
    monkeypatch.setattr("storage.drivers.NativeConnection.answer_limit", 0.3)
    pids = [db.write(execute, "SELECT pg_backend_pid()")[0][0], db.read(execute, "SELECT pg_backend_pid()")[0][0]]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with gevent.Timeout(15, pytest.fail.Exception("the thread hangs")):
            with pytest.raises(DependencyTrouble, match=r"OperationalError: no answer within 0\.3 s"):
                db.write(put, "a")
            with pytest.raises(DependencyTrouble, match=r"OperationalError: no answer within 0\.3 s"):
                db.read(names)
            db.write(put, "b")
            assert db.read(names) == ["b"]
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        db.close()


@pytest.mark.postgres
def test_whoever_is_patient_waits_as_long_as_a_statement_takes(postgres_db, monkeypatch):
    db = Database(postgres_db.driver.url, patient=True)
    monkeypatch.setattr("storage.drivers.NativeConnection.answer_limit", 0.1)
    assert db.read(execute, "SELECT 1 FROM pg_sleep(0.4)") == [(1,)]
    db.close()

    def step():
        execute("SELECT pg_sleep(0.4)")
        raise StaleError("it has been waited for")

    monkeypatch.setattr("storage.migrations.STEPS", (*STEPS, step))
    with pytest.raises(StaleError):
        postgres_db.migrate()


@pytest.mark.postgres
def test_a_commit_that_fails_is_trouble_with_unknown_outcome(postgres_db):
    other = Database(postgres_db.driver.url)

    def job():
        put("a")
        (pid,) = execute("SELECT pg_backend_pid()")[0]
        with psycopg.connect(postgres_db.driver.url, autocommit=True) as killer:
            killer.execute("SELECT pg_terminate_backend(%s)", [pid])

    with pytest.raises(DependencyTrouble):
        postgres_db.write(job)
    assert postgres_db.read(names) == []
    other.close()


@pytest.mark.postgres
def test_an_absent_server_is_trouble_and_the_hub_goes_on():
    db = Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(DependencyTrouble):
        db.ping()
    unknown = Database("postgresql://nobody@host.invalid/none")
    with pytest.raises(DependencyTrouble, match="resolve"):
        unknown.ping()


@pytest.mark.postgres
def test_a_slow_statement_does_not_stop_other_greenlets(postgres_db):
    slow = gevent.spawn(postgres_db.read, execute, "SELECT pg_sleep(0.3)")
    ticks = 0
    while not slow.ready():
        gevent.sleep(0.005)
        ticks += 1
    slow.get()
    assert ticks > 15
