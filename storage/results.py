"""Results: saved in batches of classified emails, read one by one, and corrected by people.

Used by the classifiers (save) and the web (get, content, label, stats, timeseries). `save` closes open rows of the
books under their guard and writes contents, results and counters for exactly those rows. It is idempotent, and it never
creates a row in the books.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from storage import labels, stats
from storage.contents import write_contents
from storage.counters import MINUTE, Moves
from storage.database import Database
from storage.models import ResultRow
from storage.records import (
    DECIDERS,
    LABEL_NUMBER,
    LABELS,
    BookState,
    Content,
    NewResult,
    SourceStats,
    Stats,
    StoredResult,
)
from storage.retention import TEXT_IS_WHOLE
from storage.rows import CONTENT_COLUMNS, RESULT_COLUMNS, RESULT_TABLES, content, stored_result
from storage.source_stats import source_stats
from storage.statements import batch, encode_json, execute, execute_values, insert, is_postgres

RESULT_FIELDS = (
    "ref",
    "source",
    "label",
    "decided_by",
    "model_label",
    "rule_label",
    "rule_id",
    "confidence",
    "below_threshold",
    "runner_up",
    "probabilities",
    "model_version",
    "model_generation",
    "processed_at",
    "processor_id",
    "processing_ms",
    "queued_ms",
    "total_ms",
    "times",
)

_NOUGHTS = (0.0,) * len(LABELS)

MODEL, RULE = DECIDERS.index("model"), DECIDERS.index("rule")


class _Place(msgspec.Struct, frozen=True, gc=False):
    """The position of a row in the books: its life, the tries spent on that life, the number it was last fed under."""

    generation: int
    attempts: int
    feed_seq: int

    def is_of(self, result: NewResult) -> bool:
        """Return whether the result's message is the newest of its row.

        An older message must leave the row to the newest one; otherwise both would announce the result.
        """
        alike = result.generation == self.generation and result.attempts == self.attempts
        return alike and result.feed_seq in (0, self.feed_seq)


class _Closed(_Place, frozen=True, gc=False):
    """A row that was closed in this transaction."""

    source: int
    waiting: bool  # for a retry


class ResultStore:
    """The results of one database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def save(self, batch: Sequence[NewResult], *, shard: str) -> list[NewResult | StoredResult | None]:
        """Save a batch in one transaction; return each email's stored result, or None if its row has moved on.

        The stored result is the given one if this call stored it, or that of an earlier save of the same generation.
        `shard` names this process among the counters' writers.
        """
        return self._db.write(_save, batch, shard) if batch else []

    def get(self, key: str, source: str) -> StoredResult | None:
        """Return the result of an email, or None."""
        return self._db.read(_get, key, source)

    def content(self, ref: int) -> Content | None:
        """Return the content of an email, or None if it is not stored (any more)."""
        return self._db.read(_content, ref)

    def whole_content(self, ref: int) -> Content | None:
        """Return the content of an email if no part was pruned, as a model needs it; else None."""
        return self._db.read(_content, ref, f" AND {TEXT_IS_WHOLE}")

    def label(self, key: str, source: str, label: str | None, by: str) -> StoredResult | None:
        """Set a person's label, or remove it (None), and return the result; None if there is no result."""
        return self._db.write(labels.correct, key, source, label, by)

    def stats(self, now: float) -> Stats:
        """Return the part of /stats that comes from SQL, at a cost that does not grow with the number of emails."""
        return self._db.read(stats.stats, now)

    def source_stats(self, source: str, now: float) -> SourceStats:
        """Return the same for one source, counted from its rows, at a cost that grows with their number.

        Raises LookupError if there is no source of that name.
        """
        return self._db.read(source_stats, source, now, stats.WINDOW)

    def timeseries(self, start: float, end: float, step: str) -> list[dict[str, Any]]:
        """Count emails by class in the minutes or hours from `start` to `end`: {"start": seconds, class: n, ...}."""
        return self._db.read(stats.timeseries, start, end, step)


def _save(given: Sequence[NewResult], shard: str) -> list[NewResult | StoredResult | None]:
    ordered = sorted(given, key=attrgetter("ref"))
    closed = _close(ordered)
    fresh = ordered if len(closed) == len(ordered) else _first_of_each(ordered, closed)
    write_contents([(each.ref, each.content) for each in fresh])
    insert(ResultRow, RESULT_FIELDS, [_values(each, closed[each.ref].source) for each in fresh])
    _count(fresh, sum(closed[each.ref].waiting for each in fresh), shard)
    if len(fresh) == len(given):
        return list(given)
    stored: dict[int, tuple[_Place, NewResult | StoredResult]]
    stored = {each.ref: (closed[each.ref], each) for each in fresh}
    stored |= _saved_before([each for each in ordered if each.ref not in stored])
    return [_answer(each, stored) for each in given]


def _answer(
    result: NewResult, stored: Mapping[int, tuple[_Place, NewResult | StoredResult]]
) -> NewResult | StoredResult | None:
    if result.ref not in stored:
        return None
    place, found = stored[result.ref]
    return found if place.is_of(result) and found.key == result.key else None


_GUARD = (
    "book.id = batch.ref AND book.generation = batch.generation AND book.attempts = batch.attempts "
    f"AND (batch.seq = 0 OR book.feed_seq = batch.seq) AND book.key = batch.key AND book.state = {BookState.OPEN}"
)
_GIVEN = "RETURNING book.id, book.generation, book.attempts, book.feed_seq, book.source, next_attempt_at IS NOT NULL"


def _close(results: Sequence[NewResult]) -> dict[int, _Closed]:
    """Move open rows to state `result`, each under its guard.

    A due time stays in the row, so that RETURNING shows which rows were waiting for a retry.
    """
    guards = [(each.ref, each.generation, each.attempts, each.feed_seq, each.key) for each in results]
    if not is_postgres():
        columns = ("ref", "generation", "attempts", "seq", "key")
        rows = execute_values(
            f"UPDATE OR FAIL book SET state = {BookState.RESULT} FROM batch WHERE {_GUARD} {_GIVEN}", columns, guards
        )
    else:
        types = {"ref": "bigint", "generation": "int", "attempts": "int", "seq": "bigint", "key": "text"}
        table, params = batch(types, guards)
        rows = execute(f"UPDATE book SET state = {BookState.RESULT} FROM {table} WHERE {_GUARD} {_GIVEN}", params)
    return {row[0]: _Closed(*row[1:]) for row in rows}


def _first_of_each(results: Sequence[NewResult], closed: Mapping[int, _Closed]) -> list[NewResult]:
    """Return the results that closed a row. If a batch holds an email twice, the first one counts."""
    firsts: dict[int, NewResult] = {}
    for each in results:
        if each.ref in closed and closed[each.ref].is_of(each):
            firsts.setdefault(each.ref, each)
    return list(firsts.values())


def _values(result: NewResult, source: int) -> tuple[Any, ...]:
    rule = None if result.rule_label is None else LABEL_NUMBER[result.rule_label]
    label = LABEL_NUMBER[result.model_label]
    return (
        result.ref,
        source,
        label if rule is None else rule,
        MODEL if rule is None else RULE,
        label,
        rule,
        result.rule_id,
        float(result.confidence),
        result.below_threshold,
        LABEL_NUMBER.get(result.runner_up),
        encode_json(list(map(result.probabilities.get, LABELS, _NOUGHTS))).decode(),
        result.model_version,
        0,
        float(result.processed_at),
        result.processor_id,
        float(result.processing_ms),
        result.queued_ms,
        result.total_ms,
        encode_json(result.times).decode(),
    )


def _count(fresh: Sequence[NewResult], waited: int, shard: str) -> None:
    """Move the counters; `waited` of the emails had been waiting for a retry."""
    if not fresh:
        return
    moves = Moves()
    for minute, some in _by_minute(fresh).items():
        moves.emails(minute, [each.label for each in some])
        moves.observe("processing", minute, [each.processing_ms for each in some])
        moves.observe("total", minute, [each.total_ms for each in some if each.total_ms is not None])
    durations = [each.processing_ms for each in fresh]
    moves.add("processing_ms", sum(durations))
    moves.add("retrying", -waited)
    moves.least(min(durations))
    moves.greatest("max_processing_ms", max(durations))
    moves.greatest("last_processed_at", max(each.processed_at for each in fresh))
    moves.apply(shard)


def _by_minute(results: Sequence[NewResult]) -> dict[float, list[NewResult]]:
    found: defaultdict[float, list[NewResult]] = defaultdict(list)
    for each in results:
        found[each.processed_at // MINUTE * MINUTE].append(each)
    return found


def _saved_before(results: Sequence[NewResult]) -> dict[int, tuple[_Place, StoredResult]]:
    """Return the results that an earlier commit may have stored: their rows are closed, in the same generation."""
    table, params = batch({"ref": "bigint", "generation": "int"}, [(each.ref, each.generation) for each in results])
    rows = execute(
        f"SELECT book.generation, book.attempts, book.feed_seq, {RESULT_COLUMNS} FROM {RESULT_TABLES} "
        f"JOIN {table} ON batch.ref = book.id AND batch.generation = book.generation WHERE +book.state = {BookState.RESULT}",
        params,
    )
    found = [(_Place(*row[:3]), stored_result(row[3:])) for row in rows]
    return {each.ref: (place, each) for place, each in found}


def _get(key: str, source: str) -> StoredResult | None:
    rows = execute(
        f"SELECT {RESULT_COLUMNS} FROM {RESULT_TABLES} WHERE book.source = (SELECT id FROM source WHERE name = ?) "
        "AND book.key = ?",
        [source, key],
    )
    return stored_result(rows[0]) if rows else None


def _content(ref: int, also: str = "") -> Content | None:
    rows = execute(f"SELECT {CONTENT_COLUMNS} FROM content WHERE ref = ?{also}", [ref])
    return content(rows[0]) if rows else None
