"""Retries: a failed try is written down with its next time before its message leaves the mailbox, and reopened when due.

Called by Books inside its transactions. Every change is guarded by state, generation and the attempts spent before, so that an old
delivery of the same email changes nothing; the same try told again after a lost answer reads as told once.
"""

# ruff: noqa: S608  (what is put into statements is constants of ours; values are parameters)

from collections.abc import Sequence

from storage.counters import Moves
from storage.feeding import draw_for
from storage.models import AttemptRow
from storage.records import Attempt
from storage.statements import batch, clean, execute, execute_many, for_update, insert

MAX_ERROR = 2000
"""Characters of an error that are kept."""

LONGEST_WAIT_S = 900.0
"""Nobody waits longer for a next try: pauses end at 60 s, those after a 404 at ten minutes (actors/fetcher.py)."""

_Held = dict[int, tuple[int, str, int, int, float | None, int]]


def postpone(attempts: Sequence[Attempt], shard: str) -> list[float | None]:
    """Enter failed tries; each one's next time, or None where the row has moved on, or waits for a try that spent nothing already."""
    held = _hold(attempts)
    told = _told_before(attempts)
    fresh: dict[int, Attempt] = {}
    answers: list[float | None] = []
    for attempt in attempts:
        if _guard(attempt, held):
            fresh.setdefault(attempt.ref, attempt)
            waits_already = held[attempt.ref][4] is not None  # it was told of before, and has no row that would show it
            answers.append(None if waits_already and not attempt.spend else fresh[attempt.ref].next_at)
        else:
            answers.append(told.get((attempt.ref, attempt.generation, attempt.attempts + 1)))
    _enter(list(fresh.values()), held, shard)
    return answers


def _hold(attempts: Sequence[Attempt]) -> _Held:
    """Read the rows as they are and, on PostgreSQL, lock them in the order of their refs."""
    table, params = batch({"ref": "bigint"}, [(ref,) for ref in sorted({attempt.ref for attempt in attempts})])
    rows = execute(
        f"SELECT id, state, key, generation, attempts, next_attempt_at, feed_seq FROM book "
        f"WHERE id IN (SELECT ref FROM {table}) ORDER BY id {for_update()}",
        params,
    )
    return {row[0]: row[1:] for row in rows}


def _guard(attempt: Attempt, held: _Held) -> bool:
    expected = (0, attempt.key, attempt.generation, attempt.attempts)
    row = held.get(attempt.ref)
    return row is not None and row[:4] == expected and attempt.seq in (0, row[5])


def _told_before(attempts: Sequence[Attempt]) -> dict[tuple[int, int, int], float]:
    """Find tries that we have entered already and whose rows are still waiting with them."""
    table, params = batch({"ref": "bigint"}, [(ref,) for ref in sorted({attempt.ref for attempt in attempts})])
    rows = execute(
        f"SELECT attempt.ref, attempt.generation, attempt.attempt, attempt.next_at FROM attempt "
        f"JOIN book ON book.id = attempt.ref WHERE attempt.ref IN (SELECT ref FROM {table}) AND +book.state = 0 "
        "AND book.generation = attempt.generation AND book.attempts = attempt.attempt",
        params,
    )
    return {(ref, generation, attempt): next_at for ref, generation, attempt, next_at in rows}


def _enter(attempts: Sequence[Attempt], held: _Held, shard: str) -> None:
    execute_many(
        "UPDATE book SET attempts = attempts + ?, next_attempt_at = ?, last_error = ?, "
        "first_missing_at = CASE WHEN ? THEN COALESCE(first_missing_at, ?) ELSE first_missing_at END WHERE id = ?",
        [
            (int(each.spend), each.next_at, clean(each.error[:MAX_ERROR]), each.missing, each.at, each.ref)
            for each in attempts
        ],
    )
    insert(
        AttemptRow,
        ("ref", "generation", "attempt", "reason", "error", "at", "next_at", "processor_id"),
        [
            (
                each.ref,
                each.generation,
                each.attempts + 1,
                each.reason,
                clean(each.error[:MAX_ERROR]),
                each.at,
                each.next_at,
                each.processor_id,
            )
            for each in attempts
            if each.spend
        ],
    )
    # The others wait already: they were told before, and the answer was lost.
    begin_to_wait = [each for each in attempts if held[each.ref][4] is None]
    moves = Moves()
    moves.add("retries", len(begin_to_wait))
    moves.add("errors", sum(each.spend for each in attempts))
    moves.add("retrying", len(begin_to_wait))
    moves.apply(shard)


def reopen_due(now: float, limit: int, shard: str) -> int:
    """Open rows whose time has come get a new number and wait no longer; how many."""
    due = _due(now, limit)
    if not due:
        return 0
    numbers = draw_for([(ref, source) for ref, source in sorted(due)])
    table, params = batch({"ref": "bigint", "seq": "bigint"}, sorted(numbers.items()))
    moved = execute(
        f"UPDATE book SET next_attempt_at = NULL, feed_seq = batch.seq FROM {table} "
        "WHERE book.id = batch.ref AND +book.state = 0 AND (+book.next_attempt_at <= ? OR +book.next_attempt_at > ?) "
        "RETURNING book.id",
        [*params, now, now + LONGEST_WAIT_S],
    )
    moves = Moves()
    moves.add("retrying", -len(moved))
    moves.apply(shard)
    return len(moved)


def any_due(now: float) -> bool:
    """Say whether there is anything to reopen, without a write."""
    return bool(_due(now, 1))


def _due(now: float, limit: int) -> Sequence[tuple[int, int]]:
    """(id, source) of rows whose time has come, or lies so far ahead that the clock must have been set back meanwhile."""
    sql = "SELECT id, source FROM book WHERE state = 0 AND next_attempt_at IS NOT NULL AND next_attempt_at"
    return execute(f"{sql} <= ? ORDER BY next_attempt_at LIMIT ?", [now, limit]) or execute(
        f"{sql} > ? LIMIT ?", [now + LONGEST_WAIT_S, limit]
    )
