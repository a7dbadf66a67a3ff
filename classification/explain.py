"""Explains one email's label: the phrases and signals that pushed it, where they are, and what would flip the answer.

`Classifier.explain` calls it, and the numbers are the very terms that were added up for the label. This relies on the
model being a sum: each feature's push can be named, and removed, by itself.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classification import signals
from classification.encoding import Encoded
from classification.features import Phrase, phrases
from classification.records import LABELS, Classification, Email, Evidence
from classification.text import Text, without_markup

_SHOWN = 12
_MOST_CHANGES = 6
_LEAST_WEIGHT = 0.02
# How many characters of a field are searched, and the most between two words of a phrase (tags, for instance).
_SEARCHED, _GAP = 100_000, 200

Pushes = NDArray[np.float64]
Decide = Callable[[Pushes], Classification]


@dataclass(frozen=True, slots=True)
class Reason:
    """One named term of the sum: its push (log-odds per label, mean 0) and its place."""

    kind: str
    name: str
    pushes: Pushes
    field: str
    start: int | None
    end: int | None

    def evidence(self, label: int) -> Evidence:
        """Return the reason as evidence for a label."""
        return Evidence(
            self.kind, self.name, LABELS[label], round(float(self.pushes[label]), 3), self.field, self.start, self.end
        )


def phrase_reasons(email: Email, text: Text, keys: Sequence[int], table: Pushes) -> list[Reason]:
    """Return a reason for each known word or phrase, at its first place in subject, body or sender.

    `keys` are the known keys in the email, `table` is what each adds to the four log-odds. The same words at the same
    place count in several blocks (all, opening, subject) under different keys: they are one reason, whose pushes add
    up.
    """
    rows = {key: row for row, key in enumerate(keys)}
    seen: set[int] = set()
    reasons: dict[tuple[str, str, int | None, int | None], Reason] = {}
    for phrase in phrases(text):
        row = rows.get(phrase.key)
        if row is None or phrase.key in seen:
            continue
        seen.add(phrase.key)
        place = phrase.words, phrase.field, *_place(email, text, phrase)
        before = reasons.get(place)
        pushes = table[row] if before is None else before.pushes + table[row]
        reasons[place] = Reason("phrase", phrase.words, pushes, *place[1:])
    return list(reasons.values())


def signal_reasons(encoded: Encoded, weights: NDArray[np.float32]) -> list[Reason]:
    """Return a reason for each signal that the email has."""
    values = encoded.signals[0]
    pushes = weights.astype(np.float64) * values[:, None]
    pushes -= pushes.mean(axis=1, keepdims=True)
    return [
        Reason(
            "signal",
            signals.NAMES[number],
            pushes[number],
            signals.FIELDS.get(signals.NAMES[number], "body"),
            None,
            None,
        )
        for number in np.flatnonzero(values)
    ]


def strongest(reasons: Sequence[Reason]) -> tuple[Evidence, ...]:
    """Return the reasons that push most, each as evidence for the label that it supports."""
    ranked = sorted(reasons, key=lambda reason: -float(reason.pushes.max()))
    shown = [reason.evidence(int(reason.pushes.argmax())) for reason in ranked[:_SHOWN]]
    return tuple(entry for entry in shown if entry.weight >= _LEAST_WEIGHT)


def smallest_flip(log_odds: Pushes, reasons: Sequence[Reason], decide: Decide) -> dict[str, Any] | None:
    """Return the fewest reasons (strongest first) without which the label would change, or None."""
    before = decide(log_odds).label
    kept = LABELS.index(before)
    order = np.argsort(-log_odds)
    rival = int(order[1] if order[0] == kept else order[0])
    ranked = sorted(reasons, key=lambda reason: -float(reason.pushes[kept] - reason.pushes[rival]))
    for reason in ranked:
        after = decide(log_odds - reason.pushes)
        if after.label != before:
            return _flip([reason], after)
    left = log_odds.copy()
    for count, reason in enumerate(ranked[:_MOST_CHANGES], start=1):
        left = left - reason.pushes
        after = decide(left)
        if after.label != before:
            return _flip(ranked[:count], after)
    return None


def _flip(removed: Sequence[Reason], after: Classification) -> dict[str, Any]:
    return {
        "without": [{"kind": reason.kind, "name": reason.name, "field": reason.field} for reason in removed],
        "label": after.label,
        "confidence": round(after.confidence, 4),
    }


def _place(email: Email, text: Text, phrase: Phrase) -> tuple[int | None, int | None]:
    """Find a phrase's place in the original field, whatever was cut or tidied before."""
    given, read = {
        "subject": (email.subject, text.subject),
        "body": (email.body, text.own),
        "sender": (email.sender, text.sender),
    }[phrase.field]
    if given.startswith(read[: phrase.end]):
        return phrase.start, phrase.end
    if phrase.field == "body" and "html" in text.flags:
        given = without_markup(given[:_SEARCHED])
    pattern = rf"\W{{1,{_GAP}}}".join(re.escape(word) for word in phrase.words.split())
    found = re.compile(rf"(?<!\w){pattern}(?!\w)", re.IGNORECASE).search(given, 0, _SEARCHED)
    return (found.start(), found.end()) if found else (None, None)
