"""A rule on trial: what it would match and change among the newest stored emails; nothing is saved or changed.

Used by web/rules.py for `POST /rules/test`; web/models.py uses `label_changes` too.
"""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from actors.deciding import to_email
from actors.events import readable_id
from classification.rules import RuleSet, Ruling
from engine.turns import off_the_hub
from storage.labels import effective
from storage.reprocessing import Judged, Reprocessing
from storage.rules import NewRule, StoredRule

PAGE = 100
EXAMPLES = 20
PATIENCE_S = 10.0
"""A trial reads no more mail after this long."""

TRIAL_ID = 0
"""The id of a rule on trial: no stored one has it."""


def on_trial(wanted: NewRule, place: int) -> StoredRule:
    """Return a rule as if it were stored at this place, with TRIAL_ID."""
    return StoredRule(
        id=TRIAL_ID,
        place=place,
        name=wanted.name,
        enabled=wanted.enabled,
        conditions=wanted.conditions,
        classification=wanted.classification,
        priority=wanted.priority,
        version=0,
        created_at=0.0,
        updated_at=0.0,
    )


def try_rule(stored: Reprocessing, now: RuleSet, then: RuleSet, limit: int) -> dict[str, Any]:
    """Return the answer of /rules/test: how `then` judges the newest `limit` emails differently from `now`.

    `then` contains the rule with TRIAL_ID.
    """
    trial = _Trial()
    before, deadline = 2**62, time.monotonic() + PATIENCE_S
    while trial.scanned < limit and not trial.complete and time.monotonic() < deadline:
        size = min(PAGE, limit - trial.scanned)
        page = stored.newest_judged(before, size)
        emails = [to_email(each.content) for each in page]
        rulings = off_the_hub(lambda some=emails: (now.judge_all(some), then.judge_all(some)))
        trial.add(page, *rulings)
        trial.complete = len(page) < size
        before = page[-1].id if page else before
    return trial.answer()


class _Trial:
    """Counts what the rule with TRIAL_ID does."""

    def __init__(self) -> None:
        self.scanned = self.matched = 0
        self.complete = False
        self.changes: Counter[tuple[str, str]] = Counter()
        self.changing: list[dict[str, Any]] = []
        self.matching: list[dict[str, Any]] = []

    def add(self, page: Sequence[Judged], now: Sequence[Ruling | None], then: Sequence[Ruling | None]) -> None:
        """Count some emails, with what the rules say now and would say then."""
        for each, old, new in zip(page, now, then, strict=True):
            self.scanned += 1
            before, after = _label(each, old), _label(each, new)
            if new is not None and TRIAL_ID in new.matched:
                self.matched += 1
                self.matching.append(_example(each, before, after))
            if before != after:
                self.changes[before, after] += 1
                self.changing.append(_example(each, before, after))
        self.changing, self.matching = self.changing[:EXAMPLES], self.matching[:EXAMPLES]

    def answer(self) -> dict[str, Any]:
        """Return the counts; among the examples, emails whose label would change come first."""
        names = {(each["source"], each["email_id"]) for each in self.changing}
        others = [each for each in self.matching if (each["source"], each["email_id"]) not in names]
        return {
            "scanned": self.scanned,
            "matched": self.matched,
            "would_change": self.changes.total(),
            "changes": label_changes(self.changes),
            "examples": [*self.changing, *others][:EXAMPLES],
            "complete": self.complete,
        }


def label_changes(changes: Counter[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return pairs of labels with their counts, the most frequent first."""
    return [{"from": before, "to": after, "count": count} for (before, after), count in changes.most_common()]


def _label(each: Judged, ruling: Ruling | None) -> str:
    return effective(each.model_label, ruling.classification if ruling else None, each.person_label)[0]


def _example(each: Judged, before: str, after: str) -> dict[str, Any]:
    return {
        "email_id": readable_id(each.key),
        "source": each.source,
        "subject": each.content.subject[:500],
        "sender": each.content.sender[:500],
        "classification": before,
        "would_be": after,
    }
