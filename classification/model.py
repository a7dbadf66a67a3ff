"""The classifier: Email in, Classification out; a pure function of the email and the model file.

actors/classifier.py calls it in batches, /classify and explain call it for one email. It never raises on any text.
weights.py loads the learned arrays, encoding.py turns emails into numbers.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classification import explain as reasons
from classification import text, weights
from classification.encoding import Encoded, Vocabulary, encode
from classification.features import BLOCKS
from classification.records import LABELS, UNKNOWN, Classification, Email, Evidence, Explanation

__all__ = ["LABELS", "MIN_CONFIDENCE", "Classification", "Classifier", "Email", "Evidence", "Explanation"]

# Low on purpose: four labels share 1, so few emails fall below it; docs/model-card.md says what a higher one costs.
MIN_CONFIDENCE = 0.35
_SLICE = 256

Probabilities = NDArray[np.float64]


def calibrated(log_odds: Probabilities, scale: Probabilities, shift: Probabilities) -> Probabilities:
    """Turn log-odds (one row per email, one column per label) into probabilities, by a scale and a shift per label."""
    logits = log_odds * scale + shift
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


class Classifier:
    """Labels emails with one model file. Safe to share between threads and greenlets: nothing changes after loading."""

    def __init__(self, learned: weights.Weights, version: str, min_confidence: float = MIN_CONFIDENCE) -> None:
        self.version = version
        self.min_confidence = min_confidence
        self._learned = learned
        self._vocabulary = Vocabulary(learned.keys)
        self._idf = learned.idf.astype(np.float32)
        self._scale, self._shift = learned.calibration.astype(np.float64)
        self._table = learned.table.astype(np.float32)

    @classmethod
    def load(cls, path: Path | None = None, min_confidence: float = MIN_CONFIDENCE) -> "Classifier":
        """Load a model file, by default the packaged one. Raises weights.ModelFileError when it cannot be used."""
        learned, version = weights.load(path or weights.PACKAGED)
        return cls(learned, version, min_confidence)

    def classify(self, emails: Sequence[Email]) -> list[Classification]:
        """Label emails, in order. Best called with some hundred at a time, when each takes about 0.1 ms."""
        answers: list[Classification] = []
        for start in range(0, len(emails), _SLICE):
            encoded = encode(emails[start : start + _SLICE], self._vocabulary)
            chances = self.probabilities(encoded)
            orders = np.argsort(-chances, axis=1, kind="stable")
            for row, order, flags in zip(chances.tolist(), orders.tolist(), encoded.flags, strict=True):
                answers.append(self.decide(row, order, flags))
        return answers

    def explain(self, email: Email) -> Explanation:
        """Explain why an email gets its label; takes about a millisecond for an ordinary one."""
        encoded = encode([email], self._vocabulary)
        log_odds = self.log_odds(encoded)[0]
        pushes = self._table[encoded.features].astype(np.float64) * self.feature_values(encoded)[:, None]
        pushes -= pushes.mean(axis=1, keepdims=True)
        keys = self._learned.keys[encoded.features].tolist()
        found = reasons.phrase_reasons(email, text.read(email.subject, email.body, email.sender), keys, pushes)
        found += reasons.signal_reasons(encoded, self._learned.signals)
        answer = self._decide_log_odds(log_odds, encoded.flags[0])
        chances = sorted(answer.probabilities.values(), reverse=True)
        return Explanation(
            classification=answer,
            evidence=reasons.strongest(found),
            runner_up=answer.runner_up,
            margin=answer.probabilities[answer.label] - answer.probabilities[answer.runner_up],
            distance_to_threshold=chances[0] - self.min_confidence,
            flip=reasons.smallest_flip(log_odds, found, lambda changed: self._decide_log_odds(changed, ())),
        )

    def _decide_log_odds(self, log_odds: Probabilities, flags: tuple[str, ...]) -> Classification:
        chances = calibrated(log_odds[None], self._scale, self._shift)[0]
        order = np.argsort(-chances, kind="stable")
        return self.decide(chances.tolist(), order.tolist(), flags)

    def probabilities(self, encoded: Encoded) -> Probabilities:
        """Return the calibrated probability of each label (columns as in LABELS) for each email of a batch."""
        return calibrated(self.log_odds(encoded), self._scale, self._shift)

    def log_odds(self, encoded: Encoded) -> Probabilities:
        """Return the uncalibrated log-odds of each label for each email of a batch."""
        pushed = self._table[encoded.features] * self.feature_values(encoded)[:, None]
        size = len(encoded.signals)
        if size == 1:
            words = pushed.sum(axis=0, keepdims=True)
        else:
            words = np.stack(
                [np.bincount(encoded.rows, pushed[:, label], size) for label in range(len(LABELS))], axis=1
            )
        return np.asarray(words + encoded.signals @ self._learned.signals + self._learned.bias)

    def feature_values(self, encoded: Encoded) -> NDArray[np.float32]:
        """Return the TF-IDF value of each feature entry, scaled to length 1 within its email and block."""
        raw = (1 + np.log(encoded.counts)) * self._idf[encoded.features]
        groups = encoded.rows * len(BLOCKS) + self._learned.blocks[encoded.features]
        length = np.sqrt(np.bincount(groups, weights=raw * raw, minlength=1))
        return np.asarray(raw / length[groups], dtype=np.float32)

    def decide(self, chances: Sequence[float], order: Sequence[int], flags: tuple[str, ...]) -> Classification:
        """Turn the four probabilities of one email into its label; `order` lists the labels, likeliest first.

        The confidence has four decimals from here on, so that it is stored, filtered and compared with the threshold
        exactly as shown.
        """
        best = order[0]
        unsure = _four_decimals(chances[best]) < self.min_confidence and best != UNKNOWN
        label, runner_up = (UNKNOWN, best) if unsure else (best, order[1])
        return Classification(
            LABELS[label],
            _four_decimals(chances[label]),
            dict(zip(LABELS, chances, strict=True)),
            self.version,
            unsure,
            LABELS[runner_up],
            flags,
        )


def _four_decimals(chance: float) -> float:
    """Truncate rather than round, so that a guess is never shown as certain."""
    return int(chance * 10_000) / 10_000
