"""`run.py prune`: deletes now what the KEEP_* settings call old, and frees space, as the running system does."""

import argparse
import json
import time
from contextlib import closing, nullcontext

from commands.arguments import add_json
from commands.books import alone, check_books, open_books
from settings import Settings
from storage.retention import KINDS, Keep, Retention

MIB = 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--dry-run", action="store_true", help="only count")
    parser.add_argument(
        "--vacuum",
        action="store_true",
        help="rewrite the whole SQLite file, while the system is stopped, to free its unused space",
    )
    add_json(parser)


def keep_of(settings: Settings) -> Keep:
    """Return the KEEP_* settings in the form that the stores take."""
    return Keep(
        bodies=settings.keep_bodies_days,
        contents=settings.keep_contents_days,
        attempts=settings.keep_attempts_days,
        dead_letters=settings.keep_dead_letters_days,
        notifications=settings.keep_notifications_days,
        events=settings.keep_events_days,
        minutes=settings.keep_minutes_days,
    )


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Count or delete, and report how much."""
    check_books(settings)
    whole = args.vacuum and not args.dry_run
    with alone(settings) if whole else nullcontext(), closing(open_books(settings)) as database:
        before = database.size_bytes()
        forgotten = _forget(Retention(database), keep_of(settings), dry_run=args.dry_run)
        if whole:
            database.vacuum()
        elif not args.dry_run:
            database.give_all_back()
            database.checkpoint()
        after = database.size_bytes()
    if args.json:
        print(
            json.dumps({"dry_run": args.dry_run, "forgotten": forgotten, "bytes_before": before, "bytes_after": after})
        )
        return
    for kind, count in forgotten.items():
        print(f"{kind:<14} {count:>10,} {'would be ' if args.dry_run else ''}forgotten")
    print(f"database       {before / MIB:>10,.1f} MB" + ("" if args.dry_run else f", now {after / MIB:,.1f} MB"))


def _forget(retention: Retention, keep: Keep, *, dry_run: bool) -> dict[str, int]:
    due = {kind: before for kind, before in keep.before(time.time()).items() if kind in KINDS}
    if dry_run:
        return {kind: retention.count(kind, before) for kind, before in due.items()}
    return {kind: _all(retention, kind, before) for kind, before in due.items()}


def _all(retention: Retention, kind: str, before: float) -> int:
    count, more = 0, True
    while more:
        done = retention.slice(kind, before)
        count, more = count + done.forgotten, done.more
    return count
