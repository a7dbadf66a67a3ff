"""The plain records that go into and come out of the classifier.

Everybody who calls the classifier builds an `Email` and reads a `Classification`; `explain` answers an `Explanation`.
Other rooms can pass them on without loading the model. Two are made for every email, so they are structs: 0.1 µs each, not 0.8.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

LABELS = ("meeting", "promotion", "intro", "unknown")
UNKNOWN = LABELS.index("unknown")


class Email(msgspec.Struct, frozen=True, gc=False):
    """One email as FakeMail carries it; only subject and body are certain, everything else helps when it is there."""

    subject: str
    body: str
    sender: str = ""
    recipient: str = ""
    headers: Mapping[str, str | Sequence[str]] = {}


class Classification(msgspec.Struct, frozen=True, gc=False):
    """What the classifier says about one email.

    `confidence` (0..1) is the calibrated probability that `label` is right. Below the classifier's `min_confidence` the
    label is `unknown`, `below_threshold` is true and `confidence` is the probability that `unknown` is right, which
    may be lower than that of `runner_up`, the label that the model would have given. `probabilities` has all labels
    and sums to 1. `flags` names what was odd about the text: `truncated`, `html`, `empty`, `control_characters`,
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
    """One reason: what it is, for which class it speaks and how loudly (log-odds), and where in the text it stands.

    `kind` is `signal` or `phrase`. `field` is `subject`, `body`, `sender` or `headers`; `start` and `end` count
    characters of that field as it was given and are None where no single place is meant.
    """

    kind: str
    name: str
    label: str
    weight: float
    field: str
    start: int | None = None
    end: int | None = None


class Explanation(msgspec.Struct, frozen=True, gc=False):
    """Why an email has its label: evidence (strongest first), runner-up, margins, and the smallest change that flips it.

    `margin` is the probability of the label less that of the runner-up; `distance_to_threshold` is the probability of
    the likeliest label less `min_confidence` (negative below it). `flip` is None where no single change would do.
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
