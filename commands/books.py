"""The database, for commands that work on it beside (or without) a running system."""

from contextlib import AbstractContextManager

from commands.client import CommandError
from engine.locking import locked
from settings import Settings
from storage.database import Database


def open_books(settings: Settings) -> Database:
    """The database of the settings, where there is one."""
    check_books(settings)
    return Database(settings.database, patient=True)


def alone(settings: Settings) -> AbstractContextManager[int]:
    """Keep every node off DATA_DIR meanwhile; SettingsError where one uses it and is not just ending."""
    return locked(settings.lock, 0.5)


def check_books(settings: Settings) -> None:
    """CommandError where SQLite would make a new, empty file."""
    path = settings.database_file
    if path is not None and not (path.is_file() and path.stat().st_size):
        raise CommandError(f"there is no database at {path}: DATA_DIR or DATABASE_URL says where it is")
