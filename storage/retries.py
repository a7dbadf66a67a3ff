"""Retries: a failed try is recorded with the time of the next one before its message is acknowledged; due rows reopen.

Called by Books inside its transactions. Every change is guarded by the state, the generation and the attempts spent
before, so that an old delivery of the same email changes nothing. Recording is idempotent: a repetition after a lost
answer changes nothing either.
"""

from collections.abc import Mapping, Sequence

from engine.outcome import error_text
from storage.counters import Moves
from storage.feeding import draw_for
from storage.holding import Held, hold
from storage.models import AttemptRow
from storage.records import Attempt, BookState
from storage.statements import batch, execute, execute_many, insert

FETCHED = ("classifier_error", "classifier_timeout")
"""Reasons which show that the email could be fetched; they clear `first_missing_at`."""

LONGEST_WAIT_S = 900.0
"""No retry is scheduled further ahead: back-off is capped at 60 s, after a 404 at ten minutes (actors/fetcher.py)."""


def postpone(attempts: Sequence[Attempt], shard: str) -> list[bool]:
    """Record failed tries; return for each whether its `retry` event is to be written.

    It is not if the row has moved on, or if the try spent no attempt and the row was waiting for a retry already. No row
    shows whether the event of a try that spent nothing was written: such an event is never repeated, and it is lost if
    the process is killed between the commit and the event.
    """
    held = hold(attempt.ref for attempt in attempts)
    told = _told_before(attempts)
    fresh: dict[int, Attempt] = {}
    answers: list[bool] = []
    for attempt in attempts:
        if _guard(attempt, held):
            fresh.setdefault(attempt.ref, attempt)
            answers.append(attempt.spend or held[attempt.ref].next_attempt_at is None)
        else:
            answers.append((attempt.ref, attempt.generation, attempt.attempts + 1) in told)
    _enter(list(fresh.values()), held, shard)
    return answers


def _guard(attempt: Attempt, held: Mapping[int, Held]) -> bool:
    row = held.get(attempt.ref)
    return row is not None and row.state == BookState.OPEN and row.attempts == attempt.attempts and row.is_of(attempt)


def _told_before(attempts: Sequence[Attempt]) -> set[tuple[int, int, int]]:
    """Return the tries that an earlier call recorded and that are still the last ones of their open rows."""
    table, params = batch({"ref": "bigint"}, [(ref,) for ref in sorted({attempt.ref for attempt in attempts})])
    rows = execute(
        f"SELECT attempt.ref, attempt.generation, attempt.attempt FROM attempt "
        f"JOIN book ON book.id = attempt.ref WHERE attempt.ref IN (SELECT ref FROM {table}) AND +book.state = {BookState.OPEN} "
        "AND book.generation = attempt.generation AND book.attempts = attempt.attempt",
        params,
    )
    return {(ref, generation, attempt) for ref, generation, attempt in rows}


def _enter(attempts: Sequence[Attempt], held: Mapping[int, Held], shard: str) -> None:
    execute_many(
        "UPDATE book SET attempts = attempts + ?, next_attempt_at = ?, last_error = ?, "
        "first_missing_at = CASE WHEN ? THEN COALESCE(first_missing_at, ?) WHEN ? THEN first_missing_at END WHERE id = ?",
        [
            (
                int(each.spend),
                each.next_at,
                error_text(each.error),
                each.missing,
                each.at,
                each.reason not in FETCHED,
                each.ref,
            )
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
                error_text(each.error),
                each.at,
                each.next_at,
                each.processor_id,
            )
            for each in attempts
            if each.spend
        ],
    )
    # The others were waiting already: they were recorded before, and the answer was lost.
    begin_to_wait = [each for each in attempts if held[each.ref].next_attempt_at is None]
    moves = Moves()
    moves.add("retries", len(begin_to_wait))
    moves.add("errors", sum(each.spend for each in attempts))
    moves.add("retrying", len(begin_to_wait))
    moves.apply(shard)


def reopen_due(now: float, limit: int, shard: str) -> int:
    """Give the open rows that are due a new feed number, so that they are fed again; return how many."""
    due = _due(now, limit)
    if not due:
        return 0
    numbers = draw_for([(ref, source) for ref, source in sorted(due)])
    table, params = batch({"ref": "bigint", "seq": "bigint"}, sorted(numbers.items()))
    moved = execute(
        f"UPDATE book SET next_attempt_at = NULL, feed_seq = batch.seq FROM {table} "
        f"WHERE book.id = batch.ref AND +book.state = {BookState.OPEN} AND (+book.next_attempt_at <= ? OR +book.next_attempt_at > ?) "
        "RETURNING book.id",
        [*params, now, now + LONGEST_WAIT_S],
    )
    moves = Moves()
    moves.add("retrying", -len(moved))
    moves.apply(shard)
    return len(moved)


def any_due(now: float) -> bool:
    """Return whether any row is due, without writing."""
    return bool(_due(now, 1))


def _due(now: float, limit: int) -> Sequence[tuple[int, int]]:
    """Return (id, source) of rows that are due, or due so far ahead that the clock must have been set back."""
    sql = f"SELECT id, source FROM book WHERE state = {BookState.OPEN} AND next_attempt_at IS NOT NULL AND next_attempt_at"
    return execute(f"{sql} <= ? ORDER BY next_attempt_at LIMIT ?", [now, limit]) or execute(
        f"{sql} > ? LIMIT ?", [now + LONGEST_WAIT_S, limit]
    )
