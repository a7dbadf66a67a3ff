"""Labels set by people: a person's label has a column of its own, overrides rule and model, and can be removed again.

Called by ResultStore inside its transaction. The counters are adjusted in the minute and hour in which the email was
counted.
"""

from typing import TypeVar

from engine import clock
from storage.counters import Moves
from storage.records import DECIDERS, LABEL_NUMBER, LABELS, StoredResult
from storage.rows import RESULT_COLUMNS, RESULT_TABLES, stored_result
from storage.statements import execute, for_update

SHARD = "people"

Label = TypeVar("Label", int, str)


def correct(key: str, source: str, label: str | None, by: str) -> StoredResult | None:
    """Set the label (None: remove it) and return the updated result; None if the email has no result."""
    rows = execute(
        "SELECT result.id, result.label, result.model_label, result.rule_label, result.processed_at "
        "FROM result JOIN book ON book.id = result.ref JOIN source ON source.id = book.source "
        f"WHERE source.name = ? AND book.key = ? {for_update(of='result')}",
        [source, key],
    )
    if not rows:
        return None
    result_id, before, model, rule, processed_at = rows[0]
    person = None if label is None else LABEL_NUMBER[label]
    after, decider = effective(model, rule, person)
    execute(
        "UPDATE result SET label = ?, decided_by = ?, person_label = ?, person_by = ?, person_at = ? WHERE id = ?",
        [after, DECIDERS.index(decider), person, by, clock.now(), result_id],
    )
    moves = Moves()
    moves.relabel(processed_at, LABELS[before], LABELS[after])
    moves.apply(SHARD)
    return stored_result(execute(f"SELECT {RESULT_COLUMNS} FROM {RESULT_TABLES} WHERE result.id = ?", [result_id])[0])


def effective(model: Label, rule: Label | None, person: Label | None) -> tuple[Label, str]:
    """Return the effective label (name or number) and its decider: a person, else a rule, else the model."""
    if person is not None:
        return person, "person"
    return (model, "model") if rule is None else (rule, "rule")
