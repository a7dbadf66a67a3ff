"""Figures of a set of answers with their bootstrap intervals: accuracy, macro-F1, F1 per class, calibration error.

validation.py calls it for every row of the model card.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score  # type: ignore[import-not-found] # training only

from classification.records import LABELS

DRAWS = 1_000

Floats = NDArray[np.float64]


def figures(labels: NDArray[np.int64], said: NDArray[np.int64], confidence: Floats | None = None) -> dict[str, float]:
    """Return accuracy, macro-F1, F1 per class and, with confidences, the calibration error of one set of answers."""
    scores = f1_score(labels, said, labels=range(len(LABELS)), average=None, zero_division=0)
    result = {"accuracy": float(np.mean(labels == said)), "macro_f1": float(scores.mean())}
    result |= {f"f1_{label}": float(score) for label, score in zip(LABELS, scores, strict=True)}
    if confidence is not None:
        bins = np.minimum((confidence * 15).astype(int), 14)
        right = labels == said
        gaps = [abs(float(right[bins == b].sum()) - float(confidence[bins == b].sum())) for b in range(15)]
        result["ece"] = sum(gaps) / len(labels)
    return result


def with_intervals(
    labels: NDArray[np.int64], said: NDArray[np.int64], confidence: Floats | None = None
) -> dict[str, Any]:
    """Return each figure with its 95 % bootstrap interval over emails: name to [figure, low, high]."""
    generator = np.random.default_rng(0)
    whole = figures(labels, said, confidence)
    drawn: dict[str, list[float]] = {name: [] for name in whole}
    for _ in range(DRAWS):
        pick = generator.integers(0, len(labels), len(labels))
        part = figures(labels[pick], said[pick], None if confidence is None else confidence[pick])
        for name, value in part.items():
            drawn[name].append(value)
    return {
        name: [round(value, 3), *np.percentile(drawn[name], [2.5, 97.5]).round(3).tolist()]
        for name, value in whole.items()
    }


def lead(labels: NDArray[np.int64], ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> dict[str, list[float]]:
    """Return how far `ours` is ahead in accuracy, macro-F1 and F1 per class, with a paired 95 % bootstrap interval."""
    generator = np.random.default_rng(0)
    whole = _ahead(labels, ours, theirs)
    drawn = []
    for _ in range(DRAWS):
        pick = generator.integers(0, len(labels), len(labels))
        drawn.append(list(_ahead(labels[pick], ours[pick], theirs[pick]).values()))
    bounds = np.percentile(np.array(drawn), [2.5, 97.5], axis=0).round(3).T.tolist()
    return {name: [round(value, 3), *bound] for (name, value), bound in zip(whole.items(), bounds, strict=True)}


def _ahead(labels: NDArray[np.int64], ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> dict[str, float]:
    behind = figures(labels, theirs)
    return {name: value - behind[name] for name, value in figures(labels, ours).items()}
