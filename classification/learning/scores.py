"""Figures for a set of answers, with bootstrap intervals: accuracy, macro-F1, F1 per class, calibration error.

validation.py calls it for every row of the model card.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score  # type: ignore[import-untyped] # training only

from classification.records import LABELS

DRAWS = 1_000

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sample:
    """Emails drawn within strata: the rows of each stratum, and how many of all emails each row stands for."""

    strata: Sequence[Labels]
    weights: Floats


def figures(
    labels: Labels, said: Labels, confidence: Floats | None = None, weights: Floats | None = None
) -> dict[str, float]:
    """Return accuracy, macro-F1, F1 per class and, with confidences, the calibration error of one set of answers."""
    scores = f1_score(labels, said, labels=range(len(LABELS)), average=None, zero_division=0, sample_weight=weights)
    result = {"accuracy": float(np.average(labels == said, weights=weights)), "macro_f1": float(scores.mean())}
    result |= {f"f1_{label}": float(score) for label, score in zip(LABELS, scores, strict=True)}
    if confidence is not None:
        bins = np.minimum((confidence * 15).astype(int), 14)
        right = labels == said
        gaps = [abs(float(right[bins == b].sum()) - float(confidence[bins == b].sum())) for b in range(15)]
        result["ece"] = sum(gaps) / len(labels)
    return result


def with_intervals(
    labels: Labels, said: Labels, confidence: Floats | None = None, sample: Sample | None = None
) -> dict[str, Any]:
    """Return each figure with its 95 % bootstrap interval over emails: name → [figure, low, high]."""

    def measure(pick: Labels) -> dict[str, float]:
        chosen = None if confidence is None else confidence[pick]
        return figures(labels[pick], said[pick], chosen, None if sample is None else sample.weights[pick])

    return _bootstrap(measure, len(labels), sample)


def lead(labels: Labels, ours: Labels, theirs: Labels, sample: Sample | None = None) -> dict[str, list[float]]:
    """Return the lead of `ours` in accuracy, macro-F1 and F1 per class, with paired 95 % bootstrap intervals."""

    def measure(pick: Labels) -> dict[str, float]:
        weights = None if sample is None else sample.weights[pick]
        behind = figures(labels[pick], theirs[pick], weights=weights)
        ahead = figures(labels[pick], ours[pick], weights=weights)
        return {name: value - behind[name] for name, value in ahead.items()}

    return _bootstrap(measure, len(labels), sample)


def _bootstrap(measure: Callable[[Labels], dict[str, float]], size: int, sample: Sample | None) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    whole = measure(np.arange(size))
    drawn = []
    for _ in range(DRAWS):
        if sample is None:
            pick = generator.integers(0, size, size)
        else:
            pick = np.concatenate([generator.choice(rows, len(rows)) for rows in sample.strata])
        drawn.append(list(measure(pick).values()))
    bounds = np.percentile(np.array(drawn), [2.5, 97.5], axis=0).round(3).T.tolist()
    return {name: [round(value, 3), *bound] for (name, value), bound in zip(whole.items(), bounds, strict=True)}
