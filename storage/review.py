"""What a person should look at: results that the model is least certain of, or on which somebody else says otherwise.

Three small sets of candidates (by partial indexes and by what the shadow was seen to say) are put together and ranked, so the cost does
not grow with the number of results; where one source is asked for, with that of uncertain ones. Read by `/review`, which also keeps
FakeMail's opinions here.
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
"""Of each kind, the least certain or the newest."""

PLACES = 10**13
"""More than there are ids of results."""

SIMILAR_LIMIT = 1_000
SUBJECT_TOKENS = 6
LONGEST_ADDRESS = 320
CONTESTED = {"shadow": 0.5, "rule": 0.5, "fakemail": 0.25}
"""What it adds to the score when somebody says otherwise than the model; uncertainty is 0 to 1."""


class ReviewItem(msgspec.Struct, frozen=True):
    """A result for a person to look at: its score (higher first), why, and who says what (None: nothing)."""

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
        """Give the first items, or those ranked below a place; the place of the last one (None: nothing follows); how many are ranked."""
        return self._db.read(_queue, source, shadow, limit, below)

    def similar(self, results: Sequence[StoredResult]) -> list[int]:
        """Count for each the others of its sender (without one: of its subject's words) that the model labelled alike and nobody corrected."""
        return self._db.read(lambda: [_similar(each) for each in results])

    def note_opinions(self, opinions: Sequence[tuple[int, str, float]]) -> None:
        """Keep what FakeMail said: (ref, label, confidence)."""
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
    """One number to rank by: the score, then the newest. What is answered meanwhile moves no other, so that a page skips none."""
    return round(item.score * 10_000) * PLACES + item.result.id


def _candidates(source: str | None, shadow: str | None) -> tuple[str, list[Any]]:
    """What no person has settled, of one source where that is asked, before the cut: another's mail takes no places."""
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
    """Whom it is from, without a name; "" where it is longer than an address can be. Strangers write this: the library's parser recurses."""
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
