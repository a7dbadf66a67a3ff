"""Folds counters that nobody updates any more into one shard: those of gone writers, and old counts by minute and hour.

Called by Books for the janitor (actors/janitor.py); without it, each restart under a new node name would leave rows for
ever. Readers see the same sums before, during and after: each slice is one transaction that locks its rows before
adding them up. A late write to a folded shard recreates the shard, and the next run folds it.
"""

from collections.abc import Collection, Sequence
from typing import Any

from storage.counters import HOUR, MINUTE, Moves
from storage.statements import execute, execute_many, for_update

PAST = "past"
"""The shard that receives the sums. No process has this name."""

SHARDS, ROWS = 50, 2_000
"""The most that one transaction folds."""

KEPT_APART_S = 2 * 86_400.0
"""Counts of a minute or an hour this long ago change only by corrections and reprocessing."""


def gone(writers: Collection[str]) -> list[str]:
    """Return up to SHARDS shards that belong to none of these writers."""
    shards = {str(shard) for (shard,) in execute("SELECT DISTINCT shard FROM counter")}
    return sorted(shards.difference(writers, [PAST]))[:SHARDS]


def fold_counters(shards: Sequence[str]) -> int:
    """Fold the counters of these shards; return how many rows they had."""
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
    """Return the steps (MINUTE, HOUR) that have unfolded email counts from before a time."""
    return [step for step in (MINUTE, HOUR) if _unfolded(step, before, 1)]


def fold_buckets(step: int, before: float) -> int:
    """Fold email counts of one step from before a time, oldest first; return how many rows."""
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
