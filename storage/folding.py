"""Folds what nobody moves any more into one shard: counters of writers that are gone, and old counts by the minute and the hour.

Called by Books for the janitor (actors/janitor.py), or each restart of a node with a name of its own would leave rows for ever. The sums are
the same before, after and in the eyes of whoever reads meanwhile: each slice is one transaction that locks its rows before it adds them up.
A late writer of a folded shard begins that anew, which is folded the next time.
"""

from collections.abc import Collection, Sequence
from typing import Any

from storage.counters import HOUR, MINUTE, Moves
from storage.statements import execute, execute_many, for_update

PAST = "past"
"""The shard into which is folded. No process is called so."""

SHARDS, ROWS = 50, 2_000
"""So much a transaction folds at most."""

KEPT_APART_S = 2 * 86_400.0
"""Counts of a minute or an hour so long ago are moved by a person's correction at the most."""


def gone(writers: Collection[str]) -> list[str]:
    """The shards of others than these writers, so many as are folded at once."""
    shards = {str(shard) for (shard,) in execute("SELECT DISTINCT shard FROM counter")}
    return sorted(shards.difference(writers, [PAST]))[:SHARDS]


def fold_counters(shards: Sequence[str]) -> int:
    """Fold the counters of these shards; how many rows that were."""
    held = execute(
        f"SELECT name, label, shard, value FROM counter WHERE shard IN ({', '.join('?' * len(shards))}) "
        f"ORDER BY name, label, shard {for_update()}",
        shards,
    )
    execute_many(
        "DELETE FROM counter WHERE name = ? AND label = ? AND shard = ?",
        [(name, label, shard) for name, label, shard, _ in held],
    )
    moves = Moves()
    for name, label, _, value in held:
        moves.again(name, label, value)
    moves.apply(PAST)
    return len(held)


def old_buckets(before: float) -> list[int]:
    """The steps (MINUTE, HOUR) that have emails counted before a time and not folded yet."""
    return [step for step in (MINUTE, HOUR) if _unfolded(step, before, 1)]


def fold_buckets(step: int, before: float) -> int:
    """Fold emails counted by one step before a time, the oldest first; how many rows that were."""
    held = _unfolded(step, before, ROWS, for_update())
    execute_many(
        "DELETE FROM bucket WHERE step = ? AND name = 'emails' AND start = ? AND label = ? AND shard = ?",
        [(step, start, label, shard) for start, label, shard, _ in held],
    )
    moves = Moves()
    for start, label, _, value in held:
        moves.within(step, start, label, value)
    moves.apply(PAST)
    return len(held)


def _unfolded(step: int, before: float, limit: int, lock: str = "") -> list[tuple[Any, ...]]:
    return execute(
        "SELECT start, label, shard, value FROM bucket WHERE step = ? AND name = 'emails' AND start < ? AND shard <> ? "
        f"ORDER BY start, label, shard LIMIT ? {lock}",
        [step, int(before), PAST, limit],
    )
