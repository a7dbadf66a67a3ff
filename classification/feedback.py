"""Learns from people's corrections without the corpus: a small change of the shipped weights that fits the corrections.

`python run.py train --from-feedback` calls `retrain` with the corrections and a sample of uncorrected mail. The shipped
model is the prior: a quadratic penalty keeps the change small, and on the sample the probabilities should stay as they
were.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classification import weights
from classification.encoding import Encoded, Vocabulary, encode
from classification.model import Classifier, calibrated
from classification.records import LABELS, Email

DAY_CAP = 25.0
"""The corrections of one day to one label together weigh at most as much as this many, so that a busy day cannot tilt
the model."""

SHARE_LIMIT = 0.1
"""The most that any label's share of the sample should move (or two emails, if that is more); the change is scaled down
to fit."""

SHRINK = (1.0, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05)
CERTAINTY = 0.97
PENALTY = 0.3
LEAST_ANCHOR, MOST_OF_ONE = 20.0, 0.2
"""The sample weighs as much as all corrections together, or at least this; one of its emails at most a fifth of a
correction."""

STEPS, STEP_SIZE = 250, 0.05
FOLDS = 5
LEAST_TO_HOLD_OUT = 10

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Corrected:
    """An email, the label that a person gave it, and the day (any number that identifies it)."""

    email: Email
    label: str
    day: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """What was learned from, and how well.

    `right_…` are shares of the corrections; `right_held_out` is by models that had not seen them, None if there are too
    few.
    """

    corrections: int
    by_label: dict[str, int]
    days: int
    sample: int
    right_before: float
    right_after: float
    right_held_out: float | None
    share_moved: float  # the most that any label's share of the sample moved
    strength: float  # 1: the whole change; less: the part that the guard kept


@dataclass(frozen=True, slots=True)
class Trained:
    """A new model: its file and version, and figures on which to decide about it."""

    file: bytes
    version: str
    figures: dict[str, object]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Emails as the model sees them: prior log-odds, target probabilities, and how much each email counts."""

    rows: Ints
    features: Ints  # numbered among those in use
    values: Floats
    signals: Floats
    log_odds: Floats
    targets: Floats
    counts: Floats
    used: Ints  # the model's number of each feature in use


@dataclass(frozen=True, slots=True)
class WeightChange:
    """What is added to the bias and to the weights of the signals and of the features in use."""

    table: Floats
    signals: Floats
    bias: Floats

    def log_odds(self, inputs: Inputs) -> Floats:
        """Return what the change adds to the log-odds of each email."""
        pushed = self.table[inputs.features] * inputs.values[:, None]
        size = len(inputs.signals)
        words = [np.bincount(inputs.rows, pushed[:, label], size) for label in range(len(LABELS))]
        return np.asarray(np.stack(words, axis=1) + inputs.signals @ self.signals + self.bias)

    def times(self, strength: float) -> "WeightChange":
        """Return the change scaled by `strength`."""
        return WeightChange(self.table * strength, self.signals * strength, self.bias * strength)


def retrain(prior: Path, corrections: Sequence[Corrected], sample: Sequence[Email]) -> Trained:
    """Learn a model from corrections (at least one); takes some ten seconds for thousands.

    Raises weights.ModelFileError.
    """
    learned, version = weights.load(prior)
    classifier = Classifier(learned, version)
    encoded = encode([*(each.email for each in corrections), *sample], Vocabulary(learned.keys))
    labels = np.array([LABELS.index(each.label) for each in corrections])
    trust = _trust(corrections)
    inputs = _inputs(classifier, encoded, labels, trust)
    change, strength, moved = _guarded(_fit(inputs, learned.calibration), inputs, learned.calibration, len(corrections))
    before = _said(inputs, None, learned.calibration)[: len(corrections)]
    after = _said(inputs, change, learned.calibration)[: len(corrections)]
    figures = Figures(
        corrections=len(corrections),
        by_label=dict(Counter(each.label for each in corrections)),
        days=len({each.day for each in corrections}),
        sample=len(sample),
        right_before=_share(before == labels),
        right_after=_share(after == labels),
        right_held_out=_held_out(inputs, learned.calibration, labels, strength),
        share_moved=round(moved, 4),
        strength=strength,
    )
    file, version = _file(_changed(learned, inputs, change))
    return Trained(file, version, asdict(figures))


def _trust(corrections: Sequence[Corrected]) -> Floats:
    together = Counter((each.day, each.label) for each in corrections)
    return np.array([min(1.0, DAY_CAP / together[each.day, each.label]) for each in corrections])


def _inputs(classifier: Classifier, encoded: Encoded, labels: Ints, trust: Floats) -> Inputs:
    used, features = np.unique(encoded.features, return_inverse=True)
    chances = classifier.probabilities(encoded)
    targets = chances.copy()
    targets[: len(labels)] = (1 - CERTAINTY) / (len(LABELS) - 1)
    targets[np.arange(len(labels)), labels] = CERTAINTY
    rest = len(chances) - len(labels)
    anchor = max(LEAST_ANCHOR, float(trust.sum())) / max(rest, 1)
    return Inputs(
        rows=encoded.rows,
        features=features,
        values=classifier.feature_values(encoded).astype(np.float64),
        signals=encoded.signals.astype(np.float64),
        log_odds=classifier.log_odds(encoded).astype(np.float64),
        targets=targets,
        counts=np.concatenate([trust, np.full(rest, min(anchor, MOST_OF_ONE))]),
        used=used,
    )


def _chances(log_odds: Floats, calibration: NDArray[np.float32]) -> Floats:
    return calibrated(log_odds, *calibration.astype(np.float64))


def _fit(inputs: Inputs, calibration: NDArray[np.float32]) -> WeightChange:
    """Minimise weighted cross-entropy plus penalty, by Adam with a step size that falls to 0; deterministic."""
    labels = len(LABELS)
    sizes = (len(inputs.used) * labels, inputs.signals.shape[1] * labels, labels)
    at, mean, square = (np.zeros(sum(sizes)) for _ in range(3))
    for step in range(1, STEPS + 1):
        change = _unpacked(at, sizes)
        slope = _slope(inputs, change, calibration) + PENALTY * at
        mean = 0.9 * mean + 0.1 * slope
        square = 0.99 * square + 0.01 * slope * slope
        size = STEP_SIZE * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        at = at - size * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
    return _unpacked(at, sizes)


def _unpacked(at: Floats, sizes: tuple[int, int, int]) -> WeightChange:
    table, signals, bias = np.split(at, np.cumsum(sizes)[:-1])
    return WeightChange(table.reshape(-1, len(LABELS)), signals.reshape(-1, len(LABELS)), bias)


def _slope(inputs: Inputs, change: WeightChange, calibration: NDArray[np.float32]) -> Floats:
    chances = _chances(inputs.log_odds + change.log_odds(inputs), calibration)
    errors = (chances - inputs.targets) * inputs.counts[:, None] * calibration[0].astype(np.float64)
    spread = errors[inputs.rows] * inputs.values[:, None]
    size = len(inputs.used)
    words = [np.bincount(inputs.features, spread[:, label], size) for label in range(len(LABELS))]
    table = np.stack(words, axis=1)
    return np.concatenate([table.ravel(), (inputs.signals.T @ errors).ravel(), errors.sum(axis=0)])


def _guarded(
    change: WeightChange, inputs: Inputs, calibration: NDArray[np.float32], corrected: int
) -> tuple[WeightChange, float, float]:
    """Scale the change down until no label's share of the sample moves too far: (change, strength, share moved).

    If no strength in SHRINK is small enough, the smallest is used.
    """
    before = _chances(inputs.log_odds, calibration)[corrected:]
    smaller, strength, moved = change, 0.0, 0.0
    limit = max(SHARE_LIMIT, 2 / max(len(before), 1))
    for strength in SHRINK:
        smaller = change.times(strength)
        after = _chances(inputs.log_odds + smaller.log_odds(inputs), calibration)[corrected:]
        moved = float(np.abs(after.mean(axis=0) - before.mean(axis=0)).max()) if len(before) else 0.0
        if moved <= limit:
            break
    return smaller, strength, moved


def _said(inputs: Inputs, change: WeightChange | None, calibration: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the likeliest label of each email, regardless of the threshold."""
    log_odds = inputs.log_odds if change is None else inputs.log_odds + change.log_odds(inputs)
    return np.asarray(_chances(log_odds, calibration).argmax(axis=1))


def _held_out(inputs: Inputs, calibration: NDArray[np.float32], labels: Ints, strength: float) -> float | None:
    """Return the share of corrections that models trained on the others get right, scaled by `strength`."""
    if len(labels) < LEAST_TO_HOLD_OUT:
        return None
    right = np.zeros(len(labels), dtype=bool)
    for fold in range(FOLDS):
        chosen = np.arange(len(labels)) % FOLDS == fold
        counts = inputs.counts.copy()
        counts[: len(labels)][chosen] = 0.0
        said = _said(inputs, _fit(replace(inputs, counts=counts), calibration).times(strength), calibration)
        right[chosen] = (said[: len(labels)] == labels)[chosen]
    return _share(right)


def _share(right: NDArray[np.bool_]) -> float:
    return round(float(right.mean()), 4)


def _changed(learned: weights.Weights, inputs: Inputs, change: WeightChange) -> weights.Weights:
    table = learned.table.astype(np.float64)
    table[inputs.used] += change.table
    return replace(
        learned,
        table=table.astype(learned.table.dtype),
        signals=(learned.signals + change.signals).astype(learned.signals.dtype),
        bias=(learned.bias + change.bias).astype(learned.bias.dtype),
    )


def _file(changed: weights.Weights) -> tuple[bytes, str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        weights.save(changed, path)
        _, version = weights.load(path)
        return path.read_bytes(), version
