"""The review queue: results of which the model is least certain, or on which a rule, the shadow or FakeMail differs.

Three small sets of candidates (from partial indexes and from the recorded differences of the shadow) are merged and
ranked, so that the cost does not grow with the number of results; for a single source it grows with the number of
uncertain ones. `/review` reads the queue and also stores FakeMail's opinions here.
"""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from storage import search
from storage.database import Database
from storage.learning_tables import UNCERTAIN, OpinionRow
from storage.query import Query, tokens
from storage.records import LABEL_NUMBER, LABELS, StoredResult
from storage.rows import RESULT_COLUMNS, RESULT_TABLES, stored_result
from storage.statements import execute, insert

CANDIDATES = 400
"""How many candidates of each kind are ranked: the least certain or the newest ones."""

PLACES = 10**13
"""A number larger than any result's id."""

SIMILAR_LIMIT = 1_000
SUBJECT_TOKENS = 6
LONGEST_ADDRESS = 320
CONTESTED = {"shadow": 0.5, "rule": 0.5, "fakemail": 0.25}
"""What a label that differs from the model's adds to the score, by its origin; uncertainty adds 0 to 1."""


class ReviewItem(msgspec.Struct, frozen=True):
    """A result for a person to review: its score (higher first), the reasons, and the other labels (None: no label)."""

    result: StoredResult
    score: float
    reasons: tuple[str, ...]
    rule_label: str | None
    shadow_label: str | None
    shadow_confidence: float | None
    fakemail_label: str | None
    fakemail_confidence: float | None


class ReviewStore:
    """The review queue of one system."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def queue(
        self, source: str | None, shadow: str | None, limit: int, below: int | None
    ) -> tuple[list[ReviewItem], int | None, int]:
        """Return the first items, or those ranked below a place; the place of the last one; and how many are ranked.

        The place is None if nothing follows.
        """
        return self._db.read(_queue, source, shadow, limit, below)

    def similar(self, results: Sequence[StoredResult]) -> list[int]:
        """Count for each result the similar ones that the model labelled alike and no person has labelled.

        Similar results have the same sender or, if that has no address, the same first words in the subject.
        """
        return self._db.read(lambda: [_similar(each) for each in results])

    def note_opinions(self, opinions: Sequence[tuple[int, str, float]]) -> None:
        """Store FakeMail's opinions: (ref, label, confidence)."""
        self._db.write(_note_opinions, opinions)


def _queue(
    source: str | None, shadow: str | None, limit: int, below: int | None
) -> tuple[list[ReviewItem], int | None, int]:
    candidates, params = _candidates(source, shadow)
    rows = execute(
        f"SELECT {RESULT_COLUMNS}, result.rule_label, said.shadow_label, said.confidence, opinion.label, "
        f"opinion.confidence FROM ({candidates}) AS candidate JOIN result ON result.ref = candidate.ref "
        f"JOIN {RESULT_TABLES.removeprefix('result JOIN ')} "
        "LEFT JOIN shadow_difference AS said ON said.ref = result.ref AND said.shadow = ? "
        "LEFT JOIN opinion ON opinion.ref = result.ref",
        [*params, shadow or ""],
    )
    ranked = sorted(map(_item, rows), key=_place, reverse=True)
    rest = ranked if below is None else [item for item in ranked if _place(item) < below]
    page = rest[:limit]
    return page, _place(page[-1]) if len(rest) > len(page) > 0 else None, len(ranked)


def _place(item: ReviewItem) -> int:
    """Return one number to rank by: the score, then the id. It depends on no other item, so that pages skip none."""
    return round(item.score * 10_000) * PLACES + item.result.id


def _candidates(source: str | None, shadow: str | None) -> tuple[str, list[Any]]:
    """Select results without a person's label. The source filter precedes the limits: other mail takes no room."""
    of_source, named = "", []
    if source is not None:
        of_source = (
            " AND EXISTS (SELECT 1 FROM book JOIN source ON source.id = book.source "
            "WHERE book.id = result.ref AND source.name = ?)"
        )
        named = [source]
    unsettled = f"result.person_label IS NULL{of_source}"
    sql = (
        f"SELECT ref FROM (SELECT ref FROM result WHERE {unsettled} "
        f"AND confidence < {UNCERTAIN} ORDER BY confidence LIMIT {CANDIDATES}) AS uncertain "
        f"UNION SELECT ref FROM (SELECT ref FROM result WHERE {unsettled} AND rule_label IS NOT NULL "
        f"AND rule_label <> model_label ORDER BY id DESC LIMIT {CANDIDATES}) AS ruled "
        "UNION SELECT ref FROM (SELECT said.ref FROM shadow_difference AS said JOIN result ON result.ref = said.ref "
        f"WHERE said.shadow = ? AND {unsettled} ORDER BY said.ref DESC LIMIT {CANDIDATES}) AS shadowed"
    )
    return sql, [*named, *named, shadow or "", *named]


def _item(row: tuple[Any, ...]) -> ReviewItem:
    *columns, rule, shadow, shadow_confidence, opinion, opinion_confidence = row
    result = stored_result(tuple(columns))
    others = {"shadow": shadow, "rule": rule, "fakemail": opinion}
    contested = [who for who, label in others.items() if label is not None and LABELS[label] != result.model_label]
    chances = sorted(result.probabilities.values(), reverse=True)
    unsure = 1 - (chances[0] - chances[1])
    reasons = (["uncertain"] if result.confidence < UNCERTAIN else []) + contested
    return ReviewItem(
        result=result,
        score=round(unsure + sum(CONTESTED[who] for who in contested), 4),
        reasons=tuple(reasons),
        rule_label=None if rule is None else LABELS[rule],
        shadow_label=None if shadow is None else LABELS[shadow],
        shadow_confidence=shadow_confidence,
        fakemail_label=None if opinion is None else LABELS[opinion],
        fakemail_confidence=opinion_confidence,
    )


def _similar(result: StoredResult) -> int:
    address = _address(result.sender)
    subject = tuple(tokens(result.subject)[:SUBJECT_TOKENS])
    query = Query(senders=(address,)) if tokens(address) else Query(subject=(subject,) if subject else ())
    text, params = search.condition(query, "result.ref")
    if not text:
        return 0
    rows = execute(
        "SELECT COUNT(*) FROM (SELECT 1 FROM result WHERE person_label IS NULL AND model_label = ? AND ref <> ? "
        f"AND {' AND '.join(text)} LIMIT {SIMILAR_LIMIT}) AS alike",
        [LABEL_NUMBER[result.model_label], result.ref, *params],
    )
    return int(rows[0][0])


def _address(sender: str) -> str:
    """Return the sender's address without the name, or "" if it is longer than an address can be.

    The text is untrusted, so the standard library's parser, which recurses, is not used.
    """
    address = sender.rpartition("<")[2].strip("> ")
    return address if len(address) <= LONGEST_ADDRESS else ""


def _note_opinions(opinions: Sequence[tuple[int, str, float]]) -> None:
    now = time.time()
    insert(
        OpinionRow,
        ("ref", "label", "confidence", "at"),
        [(ref, LABEL_NUMBER[label], confidence, now) for ref, label, confidence in sorted(opinions)],
        "ON CONFLICT (ref) DO UPDATE SET label = excluded.label, confidence = excluded.confidence, at = excluded.at",
    )
