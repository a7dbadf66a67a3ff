"""Re-evaluates stored results with today's model and rules: reads them in filtered pages, changes them under a guard.

Called by the task `reprocess`. Nothing here touches the books' state or a person's label. Counters are adjusted by the
difference, in the minute and hour in which the email was counted. Each pass has a generation, so that a pass that is
repeated, or overtaken by a later one, changes nothing twice.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from storage import meta
from storage.counters import Moves
from storage.database import Database
from storage.labels import effective
from storage.reading import EmailFilter, conditions
from storage.records import DECIDERS, LABEL_NUMBER, LABELS, Content, StoredResult
from storage.retention import TEXT_IS_WHOLE
from storage.rows import CONTENT_COLUMNS, RESULT_COLUMNS, RESULT_TABLES, content, stored_result
from storage.statements import encode_json, execute, for_update

GENERATION = "reprocess_generation"
SHARD = "reprocess"


class Judged(msgspec.Struct, frozen=True):
    """A stored result with its email's content, as a pass reads it."""

    id: int
    key: str
    source: str
    label: str  # the effective label
    model_label: str
    rule_label: str | None
    person_label: str | None
    content: Content


class Judgement(msgspec.Struct, frozen=True):
    """What the model and the rules say about a stored result now."""

    id: int
    label: str  # the model's
    confidence: float
    probabilities: dict[str, float]
    model_version: str
    below_threshold: bool
    runner_up: str
    rule_label: str | None = None
    rule_id: int | None = None


class Reprocessing:
    """Passes over the results of one system."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def begin(self) -> int:
        """Return the generation for a new pass, which is higher than any before."""
        return self._db.write(meta.count_up, GENERATION)

    def newest(self) -> int:
        """Return the id of the newest result; a pass goes no further than the newest one at its start."""
        return self._db.read(lambda: int(execute("SELECT COALESCE(MAX(id), 0) FROM result")[0][0]))

    def count(self, wanted: EmailFilter, after: int, up_to: int) -> int:
        """Count the results that `page` returns over a whole pass."""
        return self._db.read(_count, wanted, after, up_to)

    def page(self, wanted: EmailFilter, after: int, up_to: int, limit: int) -> list[Judged]:
        """Return results with ids in (after, up_to] whose text is still stored in full, in order of id."""
        return self._db.read(_page, wanted, after, up_to, limit)

    def newest_judged(self, before: int, limit: int) -> list[Judged]:
        """Return results with ids below `before` whose text is still stored in full, newest first."""
        return self._db.read(_newest_judged, before, limit)

    def apply(
        self,
        judgements: Sequence[Judgement],
        generation: int,
        also: Callable[[list[StoredResult]], None] = lambda _: None,
    ) -> list[StoredResult]:
        """Store the judgements and return the results whose effective label changed.

        `also` is called with those results in the same transaction.
        """
        return self._db.write(_apply, judgements, generation, also)


KEPT = f"content.ref IS NOT NULL AND {TEXT_IS_WHOLE}"


def _where(wanted: EmailFilter, after: int, up_to: int) -> tuple[str, list[Any]]:
    where, params, _ = conditions(wanted, "result.id", "result.processed_at", up_to + 1)
    return f"{where} AND result.id > ?", [*params, after]


def _count(wanted: EmailFilter, after: int, up_to: int) -> int:
    where, params = _where(wanted, after, up_to)
    return int(execute(f"SELECT COUNT(*) FROM {RESULT_TABLES}{where} AND {KEPT}", params)[0][0])


def _page(wanted: EmailFilter, after: int, up_to: int, limit: int) -> list[Judged]:
    where, params = _where(wanted, after, up_to)
    return _read(f"{where} AND {KEPT} ORDER BY result.id LIMIT ?", [*params, limit])


def _newest_judged(before: int, limit: int) -> list[Judged]:
    tail = f" WHERE result.id < ? AND {KEPT} ORDER BY result.id DESC LIMIT ?"
    return _read(tail, [before, limit])


def _read(tail: str, params: Sequence[Any]) -> list[Judged]:
    rows = execute(
        f"SELECT result.id, book.key, source.name, label, model_label, rule_label, person_label, {CONTENT_COLUMNS} FROM {RESULT_TABLES}{tail}",
        params,
    )
    return [_judged(row) for row in rows]


def _judged(row: tuple[Any, ...]) -> Judged:
    result_id, key, source, label, model, rule, person, *rest = row
    return Judged(
        id=result_id,
        key=key,
        source=source,
        label=LABELS[label],
        model_label=LABELS[model],
        rule_label=None if rule is None else LABELS[rule],
        person_label=None if person is None else LABELS[person],
        content=content(tuple(rest)),
    )


def _apply(
    judgements: Sequence[Judgement], generation: int, also: Callable[[list[StoredResult]], None]
) -> list[StoredResult]:
    changed, moves = [], Moves()
    for each in sorted(judgements, key=lambda judgement: judgement.id):
        rows = execute(
            f"SELECT label, person_label, processed_at FROM result WHERE id = ? AND model_generation < ? {for_update()}",
            [each.id, generation],
        )
        if rows:
            before, person, processed_at = rows[0]
            after = _write(each, person, generation)
            if before != after:
                moves.relabel(processed_at, LABELS[before], LABELS[after])
                changed.append(each.id)
    moves.apply(SHARD)
    results = [_result(result_id) for result_id in changed]
    also(results)
    return results


def _write(judgement: Judgement, person: int | None, generation: int) -> int:
    """Update one result and return its effective label."""
    model = LABEL_NUMBER[judgement.label]
    rule = None if judgement.rule_label is None else LABEL_NUMBER[judgement.rule_label]
    label, decider = effective(model, rule, person)
    execute(
        "UPDATE result SET label = ?, decided_by = ?, model_label = ?, rule_label = ?, rule_id = ?, confidence = ?, "
        "below_threshold = ?, runner_up = ?, probabilities = ?, model_version = ?, model_generation = ? WHERE id = ?",
        [
            label,
            DECIDERS.index(decider),
            model,
            rule,
            judgement.rule_id,
            float(judgement.confidence),
            judgement.below_threshold,
            LABEL_NUMBER.get(judgement.runner_up),
            encode_json([judgement.probabilities.get(name, 0.0) for name in LABELS]).decode(),
            judgement.model_version,
            generation,
            judgement.id,
        ],
    )
    return label


def _result(result_id: int) -> StoredResult:
    return stored_result(execute(f"SELECT {RESULT_COLUMNS} FROM {RESULT_TABLES} WHERE result.id = ?", [result_id])[0])
