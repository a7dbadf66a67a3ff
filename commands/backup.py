"""`run.py backup PATH` and `restore PATH`: books and results as one file.

Redis needs no backup: it is refilled from the books.
"""

import argparse
import json
from pathlib import Path

from commands.arguments import add_json
from commands.books import alone, open_books
from commands.client import CommandError
from engine.errors import SettingsError
from settings import Settings
from storage import backup as copies


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of both commands."""
    parser.add_argument("path", type=Path, metavar="PATH", help="the backup file")
    add_json(parser)


def backup(args: argparse.Namespace, settings: Settings) -> None:
    """Copy a consistent snapshot of the database; the system may be running."""
    database = open_books(settings)
    try:
        size = copies.backup(database, args.path)
    except SettingsError as error:
        raise CommandError(str(error)) from None
    except FileNotFoundError:
        raise CommandError(f"{args.path.parent} does not exist") from None
    except OSError as error:
        raise CommandError(f"{args.path}: {error.strerror or error}") from None
    finally:
        database.close()
    print(json.dumps({"path": str(args.path), "bytes": size}) if args.json else f"{args.path}: {size:,} bytes")


def restore(args: argparse.Namespace, settings: Settings) -> None:
    """Replace the database by a backup; nothing of the system may be running on it."""
    try:
        args.path.stat()
        if not args.path.is_file():
            raise CommandError(f"{args.path} is not a file")
        with alone(settings):
            books_id = _put_back(settings, args.path)
    except OSError as error:  # of two file names, the second is the one being written
        raise CommandError(
            f"{error.filename2 or error.filename or settings.data_dir}: {error.strerror or error}"
        ) from None
    text = "restored; open emails are queued again at the next start"
    print(json.dumps({"books_id": books_id}) if args.json else text)


def _put_back(settings: Settings, path: Path) -> str:
    """Restore and return the books' new name. A bad backup file is reported as a CommandError, not a wrong setting."""
    try:
        return copies.restore(settings.database, path)
    except SettingsError as error:
        raise CommandError(str(error)) from None
