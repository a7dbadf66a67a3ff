"""Poison for the drill: a classifier that raises, hangs or kills its process on marked emails, if it is armed.

commands/process.py wraps its classifier with `armed`; without EMAILPROC_POISON in the environment that changes nothing.
"""

import os
import signal
from collections.abc import Mapping, Sequence

from classification.model import Classification, Classifier, Email

VARIABLE = "EMAILPROC_POISON"
MARK = "emailproc-poison:"
"""An email whose subject is this followed by one of KINDS is poison."""

KINDS = ("raise", "hang", "kill")


class PoisonError(Exception):
    """Raised by the classifier on an email of the kind `raise`."""


class Poisoned(Classifier):
    """Behaves as the classifier that it is made from, except on marked emails."""

    def __init__(self, sound: Classifier) -> None:
        self.__dict__.update(sound.__dict__)

    def classify(self, emails: Sequence[Email]) -> list[Classification]:
        """Classify as the wrapped classifier does, unless an email is marked."""
        for email in emails:
            if email.subject.startswith(MARK):
                _act(email.subject.removeprefix(MARK))
        return super().classify(emails)


def armed(classifier: Classifier, environ: Mapping[str, str]) -> Classifier:
    """Return the classifier itself, or a poisoned one if the environment asks for it."""
    return Poisoned(classifier) if environ.get(VARIABLE) else classifier


def _act(kind: str) -> None:
    if kind == "raise":
        raise PoisonError("a poison email of the drill")
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while kind == "hang":  # without a yield: the hub stops, as under a runaway regular expression
        pass
