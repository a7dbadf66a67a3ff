"""The frozen work function (work.py) with the interface of the classifier, for our actors."""

from collections.abc import Sequence

from benchmarks import work
from classification.model import Classification, Email
from storage.records import LABELS


class Frozen:
    """A stand-in for classification.model.Classifier."""

    version = "frozen"

    def classify(self, emails: Sequence[Email]) -> list[Classification]:
        """Label a batch."""
        return [self._one(*work.classify(each.subject, each.body)) for each in emails]

    def _one(self, label: str, confidence: float) -> Classification:
        chances = dict.fromkeys(LABELS, (1 - confidence) / 3)
        chances[label] = confidence
        return Classification(label, confidence, chances, self.version, False, "unknown", ())
