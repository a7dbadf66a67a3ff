"""`run.py backup PATH` and `restore PATH`: the books and results as one file. Redis needs no backup: it is filled from the books."""

import argparse
import json
from pathlib import Path

from commands.arguments import add_json
from commands.books import alone, open_books
from commands.client import CommandError
from settings import Settings
from storage import backup as copies


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The argument of both commands."""
    parser.add_argument("path", type=Path, metavar="PATH", help="the backup file")
    add_json(parser)


def backup(args: argparse.Namespace, settings: Settings) -> None:
    """Copy the database as it stands at one moment; the system may run meanwhile."""
    database = open_books(settings)
    try:
        size = copies.backup(database, args.path)
    except OSError as error:
        raise _trouble(error, args.path) from None
    finally:
        database.close()
    print(json.dumps({"path": str(args.path), "bytes": size}) if args.json else f"{args.path}: {size:,} bytes")


def restore(args: argparse.Namespace, settings: Settings) -> None:
    """Put a backup in the place of the database, while nothing of the system runs on it."""
    try:
        args.path.stat()
        if not args.path.is_file():
            raise CommandError(f"{args.path} is no file")
        with alone(settings):
            books_id = copies.restore(settings.database, args.path)
    except OSError as error:
        raise _trouble(error, settings.data_dir) from None
    text = (
        f"restored as books {books_id}: the next start feeds again what is open, and lists the history from its cursor"
    )
    print(json.dumps({"books_id": books_id}) if args.json else text)


def _trouble(error: OSError, path: Path) -> CommandError:
    """Name the file that it is about: of two the one that is written, and `path` where the error names none."""
    return CommandError(f"{error.filename2 or error.filename or path}: {error.strerror or error}")
