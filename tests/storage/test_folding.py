"""Folding: the counts of departed processes move into one shard, and no sum changes, despite concurrent access."""

import random
from typing import Any

import gevent

from storage import folding
from storage.books import Books
from storage.counters import HOUR, MINUTE, Moves, counts, totals
from storage.database import Database
from storage.folding import KEPT_APART_S, PAST
from storage.statements import execute
from tests.storage.test_database import url_of

NOW = 1_000_000_000.0
OLD = NOW - KEPT_APART_S - HOUR


def one_batch(dice, at):
    """Return what a save counts, in numbers with exact sums."""
    moves = Moves()
    moves.email(at, dice.choice(["meeting", "promotion"]), dice.randrange(-1, 5))
    moves.add("processing_ms", dice.randrange(1000) / 8)
    moves.add("retrying", dice.choice([-1, 1]))
    moves.least(dice.randrange(1, 1000) / 8)
    moves.greatest("max_processing_ms", dice.randrange(1, 1000) / 8)
    return moves


def seen(db):
    """Return everything that is read from the counters."""

    def read():
        ages = [(step, counts("emails", step, 0, NOW + HOUR)) for step in (MINUTE, HOUR)]
        told = {name: value for name, value in totals().items() if value}
        return told, [{key: value for key, value in found.items() if value} for _, found in ages]

    return db.read(read)


def shards(db, table="counter", where="1 = 1"):
    return {shard for (shard,) in db.read(execute, f"SELECT DISTINCT shard FROM {table} WHERE {where}")}


def folded(books, *writers):
    return sum(iter(lambda: books.fold(writers, NOW), 0))


def test_shards_of_writers_that_are_gone_become_one_and_no_sum_changes(db, books):
    dice = random.Random(1)
    for number in range(120):
        for at in (OLD, NOW):
            db.write(one_batch(dice, at + 60 * number % HOUR).apply, f"gone-{number % 60}/worker-1")
    db.write(one_batch(dice, NOW).apply, "here/front")
    before = seen(db)
    assert folded(books, "here/front") > 0
    assert seen(db) == before
    assert shards(db) == {PAST, "here/front"}
    assert shards(db, "bucket", f"start < {int(NOW - KEPT_APART_S)}") == {PAST}
    assert folded(books, "here/front") == 0
    assert seen(db) == before


def test_counts_of_the_last_two_days_stay_with_who_moves_them(db, books):
    dice = random.Random(2)
    for at in (OLD, NOW):
        db.write(one_batch(dice, at).apply, "here/front")
    folded(books, "here/front")
    assert shards(db) == {"here/front"}
    assert shards(db, "bucket", f"start >= {int(NOW - KEPT_APART_S)}") == {"here/front"}
    assert shards(db, "bucket", f"start < {int(NOW - KEPT_APART_S)}") == {PAST}


def test_a_late_writer_of_a_folded_shard_begins_it_anew(db, books):
    db.write(one_batch(random.Random(3), OLD).apply, "slow/worker-1")
    folded(books)
    late = Moves()
    late.email(OLD, "meeting", 7)
    before = seen(db)[0].get(("emails", "meeting"), 0)
    db.write(late.apply, "slow/worker-1")
    assert shards(db) == {PAST, "slow/worker-1"}
    folded(books)
    assert shards(db) == {PAST}
    assert seen(db)[0]["emails", "meeting"] == before + 7


def test_writers_folders_and_readers_at_once_lose_and_double_nothing(db, monkeypatch):
    """Writers move shards that are folded at the same time; every read returns what was written by then."""
    monkeypatch.setattr(folding, "ROWS", 7)
    others = [Database(url_of(db)) for _ in range(4)]
    writing, odd = [gevent.spawn(write_many, others[nth], f"gone/{nth}") for nth in (0, 1)], []

    def fold_on(database):
        while not all(writers.dead for writers in writing):
            Books(database).fold([], NOW)

    def read_on():
        while not all(writers.dead for writers in writing):
            told, (minutes, hours) = seen(db)
            emails = told.get(("emails", "meeting"), 0)
            odd.extend([] if emails == sum(minutes.values()) == sum(hours.values()) else [(told, minutes, hours)])

    everybody: list[Any] = [*writing, *(gevent.spawn(fold_on, each) for each in others[2:]), gevent.spawn(read_on)]
    gevent.joinall(everybody, timeout=60, raise_error=True)
    folded(Books(db))
    told, (minutes, hours) = seen(db)
    assert (told["emails", "meeting"], sum(minutes.values()), sum(hours.values())) == (300, 300, 300)
    assert told["max_processing_ms", ""] == 150
    assert odd == []
    assert shards(db) == shards(db, "bucket") == {PAST}
    for each in others:
        each.close()


def write_many(database, shard):
    for number in range(150):
        moves = Moves()
        moves.email(OLD + 60 * (number % 20), "meeting")
        moves.greatest("max_processing_ms", number + 1)
        database.write(moves.apply, shard)
