"""`run.py migrate-store --to postgresql://…`: moves an SQLite history into PostgreSQL, while the system is stopped.

After a kill, run it again: it continues after the last batch. storage/moving.py does the work.
"""

import argparse
import json
import sys
import time
from contextlib import closing

from tqdm import tqdm

from commands.arguments import add_json
from commands.books import alone, check_books
from commands.client import CommandError, UsageError
from engine.errors import SettingsError
from settings import Settings, without_password
from storage.database import Database
from storage.drivers import PostgresDriver
from storage.moving import Move, TableCount


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--to", required=True, metavar="URL", help="the empty PostgreSQL database: postgresql://...")
    add_json(parser)


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Copy everything, verify the counts, and hand over to the new database."""
    if not args.to.startswith(("postgresql://", "postgres://")):
        raise UsageError(f"--to must begin with postgresql://, not {without_password(args.to)!r}")
    if settings.database_file is None:
        raise CommandError(
            "DATABASE_URL already names a PostgreSQL database: run this with the settings of the SQLite system"
        )
    check_books(settings)
    with (
        alone(settings),
        closing(Database(settings.database, patient=True)) as source,
        closing(Database(args.to, patient=True)) as target,
    ):
        assert isinstance(target.driver, PostgresDriver)
        _move(Move(source, target), args)


def _move(move: Move, args: argparse.Namespace) -> None:
    began, moved = time.monotonic(), 0
    try:
        counts: list[TableCount] = []
        move.prepare()
        if not move.complete:
            if move.restarted:
                print("the target held an unfinished copy of another state: starting over", file=sys.stderr)
            moved = _copy(move)
            counts = move.check()
        move.finish()
    except SettingsError as error:
        raise CommandError(str(error)) from None
    seconds = time.monotonic() - began
    if args.json:
        rows = {each.table: each.target for each in counts}
        print(json.dumps({"books_id": move.books_id, "moved": moved, "rows": rows, "seconds": round(seconds, 3)}))
        return
    print("\n".join(f"{each.table:<20} {each.target:>12,}" for each in counts if each.target))
    agreed = "everything was already there" if move.complete else "counts and audits agree"
    print(f"{moved:,} rows in {seconds:.1f} s; {agreed}. The full text is indexed while the system runs")
    print(
        "now run with DATABASE_URL=postgresql://… and the DATA_DIR and Redis as they are; the SQLite file may be kept as a backup"
    )


def _copy(move: Move) -> int:
    total, done, moved = move.total(), move.done(), 0
    with tqdm(total=total, initial=done, unit="row", desc="moved", disable=None) as bar:
        for table, rows in move.copy():
            bar.set_postfix_str(table, refresh=False)
            bar.update(rows)
            moved += rows
    return moved
