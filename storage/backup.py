"""Backups: copies the database while the system runs, and restores a copy while the system is stopped.

Called by the commands `backup` and `restore`. A copy appears as one whole file or not at all. A restored database gets
a new books_id, because the mailboxes in Redis belong to the replaced database. PostgreSQL uses pg_dump and pg_restore.
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
from storage import migrations
from storage.books import Books
from storage.database import Database
from storage.drivers import PostgresDriver, SqliteDriver, driver_for

COPIES = (b"SQLite format 3\0", b"PGDMP")
"""The first bytes of a backup from SQLite and from PostgreSQL."""


def backup(db: Database, path: Path) -> int:
    """Write a consistent snapshot of the database to `path`, replacing an earlier backup; return its size in bytes.

    Raises DependencyTrouble, OSError, or SettingsError if pg_dump is missing or fails, or if `path` is not a backup.
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
    """Replace the database at `url`, which must not be in use, with a backup; return the new books_id.

    Raises SettingsError, and leaves the database unchanged, for a file that is no backup of this kind of database or that
    has a schema too new for this program. On PostgreSQL, run an interrupted restore again.
    """
    driver = driver_for(url)
    if isinstance(driver, SqliteDriver):
        return _restore_file(driver, path)
    _check_dump(path)
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
    """Refuse to overwrite a database in use, which would be lost with its log, or a lock, which would stop locking."""
    if not path.exists() or path.is_dir() or (path.is_file() and path.stat().st_size == 0):
        return  # for a folder, take_place() fails
    if not path.is_file() or not _beginning(path).startswith(COPIES):
        raise SettingsError(f"{path} exists and is not a backup: name another file")
    if any(each.exists() for each in _side_files(path.resolve())):
        raise SettingsError(f"{path} is a database in use, not a backup of one: name another file")


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(max(map(len, COPIES)))


def _vacuum_into(source: Path, part: Path) -> None:
    """Write a compact copy from one snapshot, without blocking writers."""
    with closing(apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        connection.execute("VACUUM INTO ?", [str(part)])


def _restore_file(driver: SqliteDriver, path: Path) -> str:
    """Prepare the copy beside the database, so that it is complete and has its new books_id before it replaces it."""
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
            _into_one_file(driver.path)  # or else a kill here could leave the old file without its log
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
        raise SettingsError(f"{given} is not a backup of this system: {error}") from error
    if found != [("ok",)]:
        raise SettingsError(f"{given} is damaged: {found[0][0]}")


def _check_dump(path: Path) -> None:
    """Read the dump's table meta, before pg_restore would have replaced everything."""
    rows = _run("pg_restore", "--data-only", "--table=meta", "--file=-", str(path))
    facts = dict(row.split("\t") for row in rows.splitlines() if row.count("\t") == 1)
    if "schema_version" not in facts:
        raise SettingsError(f"{path} is not a backup of this system: it has no schema_version")
    migrations.refuse_if_filling(facts)
    migrations.refuse_if_too_new(facts)


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
    """Yield a connection string that is safe to show in the process list: the password is in a separate file."""
    params = conninfo_to_dict(driver.url)
    password = params.pop("password", None)
    if password is None:
        yield driver.url
        return
    with tempfile.NamedTemporaryFile("w") as file:  # mode 0600
        file.write("*:*:*:*:" + str(password).replace("\\", "\\\\").replace(":", "\\:"))
        file.flush()
        yield make_conninfo("", **{**params, "passfile": file.name})


def _run(program: str, *arguments: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise SettingsError(f"{program} is not on the PATH: install PostgreSQL's client programs")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)  # noqa: S603  (our own words)
    if done.returncode:
        raise SettingsError(f"{program}: {(done.stderr.strip().splitlines() or ['failed'])[0]}")
    return done.stdout
