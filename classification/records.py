"""The plain records that go into and come out of the classifier.

Callers build an `Email` and get a `Classification`, or an `Explanation` from `explain`. Other packages can pass them on
without loading the model. Two of them are created for every email, so they are structs, which take 0.1 µs instead of
0.8.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

LABELS = ("meeting", "promotion", "intro", "unknown")
UNKNOWN = LABELS.index("unknown")


class Email(msgspec.Struct, frozen=True, gc=False):
    """One email as FakeMail delivers it. Only subject and body are certain to be there; the rest helps if present."""

    subject: str
    body: str
    sender: str = ""
    recipient: str = ""
    headers: Mapping[str, str | Sequence[str]] = {}


class Classification(msgspec.Struct, frozen=True, gc=False):
    """The classifier's answer for one email.

    `confidence` (0..1) is the calibrated probability that `label` is right. Below the classifier's `min_confidence` the
    label is `unknown`, `below_threshold` is true and `confidence` is the probability that `unknown` is right, which may
    be lower than that of `runner_up`, the label that the model would have given. `probabilities` covers all labels and
    sums to 1. `flags` names oddities of the text: `truncated`, `html`, `empty`, `control_characters`,
    `hidden_characters`, `broken_unicode`.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    model_version: str
    below_threshold: bool
    runner_up: str
    flags: tuple[str, ...]


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """One reason: what it is, which class it supports and how strongly (log-odds), and where it is in the text.

    `kind` is `signal` or `phrase`. `field` is `subject`, `body`, `sender` or `headers`; `start` and `end` are character
    positions in that field as given, or None if no single place is meant.
    """

    kind: str
    name: str
    label: str
    weight: float
    field: str
    start: int | None = None
    end: int | None = None


class Explanation(msgspec.Struct, frozen=True, gc=False):
    """Why an email has its label: evidence (strongest first), runner-up, margins, and the smallest flip.

    `margin` is the probability of the label minus that of the runner-up; `distance_to_threshold` is the probability of
    the likeliest label minus `min_confidence` (negative below it). `flip` is None if removing a few reasons would not
    change the label.
    """

    classification: Classification
    evidence: tuple[Evidence, ...]
    runner_up: str
    margin: float
    distance_to_threshold: float
    flip: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers, ready for JSON."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain
