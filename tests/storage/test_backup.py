"""Backups: a consistent copy while others write, restored in whole under a new name."""

import os

import gevent
import pytest

from engine.errors import SettingsError
from storage.backup import _without_password, backup, restore
from storage.books import Books
from storage.database import Database
from storage.drivers import PostgresDriver
from storage.migrations import FILLING
from storage.results import ResultStore
from storage.statements import execute
from tests.storage.books_fixtures import enter, open_database, result


@pytest.fixture
def db(database_url):
    database = open_database(database_url)
    yield database
    database.close()


def test_what_was_backed_up_comes_back_under_a_new_name(db, database_url, tmp_path):
    books = Books(db)
    name = books.books_id()
    refs = enter(books, ["a", "b"])
    ResultStore(db).save([result(refs[0], "a")], shard="w")
    copy = tmp_path / "copy"
    assert backup(db, copy) == copy.stat().st_size > 0
    enter(books, ["c"])
    db.close()
    new_name = restore(database_url, copy)
    again = Database(database_url)
    books = Books(again)
    audit = books.audit()
    assert (audit.listed, audit.results, audit.queued) == (2, 1, 1)
    assert books.books_id() == new_name != name
    stored = ResultStore(again).get("a", "main")
    assert stored is not None
    assert stored.label == "meeting"
    assert enter(books, ["c"])
    again.close()


def test_a_backup_is_of_one_moment_while_others_write(db, tmp_path):
    books = Books(db)
    source = books.open_source("main", "http://127.0.0.1:1")

    def write():
        for number in range(50):
            enter(books, [f"e{number}"], source=source)

    writer = gevent.spawn(write)
    copies = [tmp_path / f"copy{number}" for number in range(2)]
    for copy in copies:
        backup(db, copy)
    writer.get(timeout=30)
    assert books.audit().listed == 50
    assert not list(tmp_path.glob("*.part*"))


def test_a_copy_is_its_owners_alone_and_one_that_was_there_keeps_its_mode(db, tmp_path):
    copy = tmp_path / "copy"
    backup(db, copy)
    assert copy.stat().st_mode & 0o777 == 0o600
    copy.chmod(0o640)
    backup(db, copy)
    assert copy.stat().st_mode & 0o777 == 0o640


def test_the_database_itself_and_what_is_no_backup_are_not_written_over(tmp_path):
    database = tmp_path / "emails.db"
    db = open_database(f"sqlite:///{database}")
    enter(Books(db), ["a"])
    (tmp_path / "link").symlink_to(database)
    (tmp_path / "lock").write_text("4711\n")
    for name, words in (
        ("emails.db", "in use"),
        ("link", "in use"),
        ("emails.db-wal", "not a backup"),
        ("lock", "not a backup"),
    ):
        with pytest.raises(SettingsError, match=words):
            backup(db, tmp_path / name)
    assert Books(db).audit().listed == 1
    assert (tmp_path / "lock").read_text() == "4711\n"
    db.close()


def test_a_device_is_not_replaced_by_a_copy(db, tmp_path):
    pipe = tmp_path / "pipe"  # like /dev/null, for root
    os.mkfifo(pipe)
    with pytest.raises(SettingsError, match="not a backup"):
        backup(db, pipe)
    assert pipe.is_fifo()


def test_a_restored_file_keeps_the_mode_and_the_owner_of_what_it_replaces(tmp_path):
    database, copy = tmp_path / "emails.db", tmp_path / "copy"
    db = open_database(f"sqlite:///{database}")
    backup(db, copy)
    db.close()
    copy.chmod(0o644)
    database.chmod(0o600)
    others = (os.getuid(), os.getgid())
    if os.geteuid() == 0:
        others = (65534, 65534)
        os.chown(database, *others)
    restore(f"sqlite:///{database}", copy)
    found = database.stat()
    assert (found.st_mode & 0o777, found.st_uid, found.st_gid) == (0o600, *others)


def test_a_file_that_is_no_backup_is_refused_and_nothing_is_lost(tmp_path):
    url = f"sqlite:///{tmp_path}/emails.db"
    db = open_database(url)
    enter(Books(db), ["a"])
    db.close()
    (tmp_path / "nonsense").write_bytes(os.urandom(4096))
    with pytest.raises(SettingsError, match="not a backup"):
        restore(url, tmp_path / "nonsense")
    with pytest.raises(FileNotFoundError):
        restore(url, tmp_path / "missing")
    again = Database(url)
    assert Books(again).audit().listed == 1
    again.close()


def test_a_newer_backup_is_refused_and_nothing_is_lost(db, database_url, tmp_path):
    facts = dict(db.read(execute, "SELECT name, value FROM meta WHERE name IN ('schema_version', 'schema_oldest')"))
    for name in facts:
        db.write(execute, "UPDATE meta SET value = '999' WHERE name = ?", [name])
    backup(db, tmp_path / "copy")
    for name, value in facts.items():
        db.write(execute, "UPDATE meta SET value = ? WHERE name = ?", [value, name])
    enter(Books(db), ["a"])
    with pytest.raises(SettingsError, match="schema 999"):
        restore(database_url, tmp_path / "copy")
    assert Books(db).audit().listed == 1


def test_a_backup_of_a_half_filled_database_is_refused_and_nothing_is_lost(db, database_url, tmp_path):
    db.write(execute, "INSERT INTO meta (name, value) VALUES (?, '1')", [FILLING])
    backup(db, tmp_path / "copy")
    db.write(execute, "DELETE FROM meta WHERE name = ?", [FILLING])
    enter(Books(db), ["a"])
    with pytest.raises(SettingsError, match="half filled"):
        restore(database_url, tmp_path / "copy")
    assert Books(db).audit().listed == 1


@pytest.mark.postgres
def test_a_dump_of_something_else_is_refused_and_nothing_is_lost(postgres, tmp_path):
    other = Database(postgres.url)
    other.write(execute, "CREATE TABLE meta (name text, what text)")
    backup(other, tmp_path / "other")
    other.write(execute, "DROP TABLE meta")
    other.close()
    db = open_database(postgres.url)
    enter(Books(db), ["a"])
    with pytest.raises(SettingsError, match="not a backup of this system"):
        restore(postgres.url, tmp_path / "other")
    assert Books(db).audit().listed == 1
    db.close()


@pytest.mark.postgres
def test_without_pg_dump_a_backup_says_what_to_install(postgres, tmp_path, monkeypatch):
    monkeypatch.setattr("storage.backup.shutil.which", lambda _: None)
    db = Database(postgres.url)
    with pytest.raises(SettingsError, match="pg_dump is not on the PATH"):
        backup(db, tmp_path / "copy")
    db.close()


@pytest.mark.postgres
def test_a_password_is_not_seen_in_the_list_of_processes():
    with _without_password(PostgresDriver("postgresql://me:se:cret@h/d")) as conninfo:
        assert "cret" not in conninfo
        assert "passfile" in conninfo
