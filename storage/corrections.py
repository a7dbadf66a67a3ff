"""Labels that people corrected, with the emails themselves: the ground truth for training and comparing models.

Read by `run.py train --from-feedback`, which also needs a sample of uncorrected mail, and before a promotion.
"""

from typing import Any

import msgspec

from storage.database import Database
from storage.records import LABELS, Content
from storage.retention import TEXT_IS_WHOLE
from storage.rows import CONTENT_COLUMNS, content
from storage.statements import execute

MAX_CHARS = 32 * 1024
"""Bodies are cut to this length, which is more than a model reads."""
COLUMNS = CONTENT_COLUMNS.replace("content.body", f"substr(content.body, 1, {MAX_CHARS})")


class Correction(msgspec.Struct, frozen=True):
    """An email with the label a person gave it (`label`) and the one the model had given it (`model_label`)."""

    ref: int
    label: str
    model_label: str
    at: float
    content: Content


class Corrections:
    """The corrections of one system."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def newest(self, limit: int) -> list[Correction]:
        """Return the newest corrections of emails whose text is kept, newest first."""
        return self._db.read(_newest, limit)

    def stamp(self) -> tuple[int, float]:
        """Return (number of corrections, time of the newest): a different pair means that something changed."""
        return self._db.read(_stamp)

    def sample(self, limit: int) -> list[Content]:
        """Return the newest emails that nobody corrected."""
        return self._db.read(_sample, limit)


def _newest(limit: int) -> list[Correction]:
    rows = execute(
        f"SELECT result.ref, person_label, model_label, person_at, {COLUMNS} FROM result "
        "JOIN content ON content.ref = result.ref WHERE person_label IS NOT NULL "
        f"AND {TEXT_IS_WHOLE} ORDER BY person_at DESC, result.ref LIMIT ?",
        [limit],
    )
    return [_correction(row) for row in rows]


def _correction(row: tuple[Any, ...]) -> Correction:
    ref, label, model_label, at, *rest = row
    return Correction(ref, LABELS[label], LABELS[model_label], at, content(tuple(rest)))


def _stamp() -> tuple[int, float]:
    count, newest = execute("SELECT COUNT(*), COALESCE(MAX(person_at), 0) FROM result WHERE person_label IS NOT NULL")[
        0
    ]
    return int(count), float(newest)


def _sample(limit: int) -> list[Content]:
    rows = execute(
        f"SELECT {COLUMNS} FROM result JOIN content ON content.ref = result.ref WHERE person_label IS NULL "
        f"AND {TEXT_IS_WHOLE} ORDER BY result.id DESC LIMIT ?",
        [limit],
    )
    return [content(row) for row in rows]
