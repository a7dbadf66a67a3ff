"""The database, for commands that work on it directly, with or without a running system."""

from contextlib import AbstractContextManager

from commands.client import CommandError
from engine.locking import locked
from settings import Settings
from storage.database import Database


def open_books(settings: Settings) -> Database:
    """Open the database of the settings, which must exist."""
    check_books(settings)
    return Database(settings.database, patient=True)


def alone(settings: Settings) -> AbstractContextManager[int]:
    """Lock DATA_DIR against every node; SettingsError if one uses it and does not end within half a second."""
    return locked(settings.lock, 0.5)


def check_books(settings: Settings) -> None:
    """Raise CommandError if SQLite would create a new, empty file."""
    path = settings.database_file
    if path is not None and not (path.is_file() and path.stat().st_size):
        raise CommandError(f"there is no database at {path}: set DATA_DIR or DATABASE_URL to where it is")
