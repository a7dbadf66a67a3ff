"""Backups: a copy of the database while the system runs, and putting one in its place while it is stopped.

Called by the commands `backup` and `restore`. A copy is one file that appears whole or not at all; a restored database gets a new
books_id, because the mailboxes in Redis belong to what was replaced. PostgreSQL is copied by its own pg_dump and pg_restore.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import apsw
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from engine.errors import SettingsError
from engine.files import make_private, take_place
from storage.books import Books
from storage.database import Database
from storage.drivers import PostgresDriver, SqliteDriver, driver_for

COPIES = (b"SQLite format 3\0", b"PGDMP")
"""How a backup begins, of SQLite and of PostgreSQL."""


def backup(db: Database, path: Path) -> int:
    """Copy the database as it stands at one moment to `path`, replacing a copy that is there; the copy's bytes.

    Raises DependencyTrouble, OSError, or SettingsError where pg_dump is missing or refuses, or `path` holds anything else.
    """
    _refuse_to_replace(path)
    part = path.with_name(path.name + ".part")
    try:
        make_private(part)
        if isinstance(db.driver, SqliteDriver):
            db.outside(_vacuum_into, db.driver.path, part)
        else:
            with _without_password(db.driver) as conninfo:
                _run("pg_dump", "--format=custom", f"--file={part}", f"--dbname={conninfo}")
        take_place(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path.stat().st_size


def restore(url: str, path: Path) -> str:
    """Put a copy in the place of the database at `url`, which nobody may be using; the new books_id.

    A copy of a newer schema or of another kind is a SettingsError, and what was there stays. On PostgreSQL, run it again
    if it was interrupted.
    """
    driver = driver_for(url)
    if isinstance(driver, SqliteDriver):
        return _restore_file(driver, path)
    with _without_password(driver) as conninfo:
        _run(
            "pg_restore",
            "--clean",
            "--if-exists",
            "--no-owner",
            "--single-transaction",
            f"--dbname={conninfo}",
            str(path),
        )
    return _renewed(url)


def _refuse_to_replace(path: Path) -> None:
    """A database in use would be lost with its log, and a lock would no longer keep anybody out."""
    if not path.exists() or path.is_dir() or (path.is_file() and path.stat().st_size == 0):
        return  # a folder is refused when the copy is to take its place
    if not path.is_file() or not _beginning(path).startswith(COPIES):
        raise SettingsError(f"{path} is there and is not a backup: name another file")
    if any(each.exists() for each in _side_files(path.resolve())):
        raise SettingsError(f"{path} is a database in use, not a backup of one: name another file")


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(max(map(len, COPIES)))


def _vacuum_into(source: Path, part: Path) -> None:
    """Write a compact copy from one snapshot; writers go on meanwhile."""
    with closing(apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        connection.execute("VACUUM INTO ?", [str(part)])


def _restore_file(driver: SqliteDriver, path: Path) -> str:
    """Make the copy ready beside the database, so that what takes its place is whole and has its new name already."""
    part = driver.path.with_name(driver.path.name + ".part")
    for leftover in (part, *_side_files(part)):
        leftover.unlink(missing_ok=True)
    try:
        make_private(part)
        shutil.copyfile(path, part)
        _check(part, path)
        books_id = _renewed(f"sqlite:///{part}")
        _into_one_file(part)
        with suppress(apsw.Error):
            _into_one_file(driver.path)  # else a kill here would leave the old file without its log
        for leftover in _side_files(driver.path):
            leftover.unlink(missing_ok=True)
        take_place(part, driver.path, owner=driver.path.parent)
    finally:
        part.unlink(missing_ok=True)
    return books_id


def _check(part: Path, given: Path) -> None:
    try:
        with closing(apsw.Connection(str(part))) as connection:
            found = connection.execute("PRAGMA quick_check").fetchall()
            connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchall()
    except apsw.Error as error:
        raise SettingsError(f"{given} is not a backup of ours: {error}") from error
    if found != [("ok",)]:
        raise SettingsError(f"{given} is damaged: {found[0][0]}")


def _renewed(url: str) -> str:
    with closing(Database(url, patient=True)) as db:
        db.migrate()
        return Books(db).renew_books_id()


def _into_one_file(path: Path) -> None:
    """Fold the write-ahead log into the database file."""
    if path.exists():
        with closing(apsw.Connection(str(path))) as connection:
            connection.execute("PRAGMA journal_mode = delete").fetchall()


def _side_files(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")]


@contextmanager
def _without_password(driver: PostgresDriver) -> Iterator[str]:
    """Give a connection string that may be seen in a list of processes: the password stands in a file of its own."""
    params = conninfo_to_dict(driver.url)
    password = params.pop("password", None)
    if password is None:
        yield driver.url
        return
    with tempfile.NamedTemporaryFile("w") as file:  # mode 0600
        file.write("*:*:*:*:" + str(password).replace("\\", "\\\\").replace(":", "\\:"))
        file.flush()
        yield make_conninfo("", **{**params, "passfile": file.name})


def _run(program: str, *arguments: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise SettingsError(f"{program} is not on the PATH: install PostgreSQL's client programs")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)  # noqa: S603  (our own words)
    if done.returncode:
        raise SettingsError(f"{program}: {(done.stderr.strip().splitlines() or ['failed'])[0]}")
