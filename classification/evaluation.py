"""Measures a classifier on labelled mail: accuracy, F1, confusion, calibration, slices and speed.

`python run.py evaluate FILE.jsonl` calls `evaluate` and prints the report. Anything with `classify(emails)` can be
measured, including the word lists. corpus.py reads the lines.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from classification import corpus
from classification.language import guess_language
from classification.records import LABELS, Classification, Email

BINS = 15
_BATCH = 256


class Classifies(Protocol):
    """The part of a classifier that evaluation needs."""

    def classify(self, emails: Sequence[Email]) -> list[Classification]:
        """Label emails, in order."""


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of the reliability diagram: the answers with a confidence between two bounds."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one evaluation.

    `confusion[true][said]` counts emails; `slices` repeats the figures for subsets.
    """

    n: int
    accuracy: float
    macro_f1: float
    ece: float
    us_per_email: float
    per_class: dict[str, dict[str, float]]
    confusion: dict[str, dict[str, int]]
    reliability: list[Bin]
    slices: dict[str, dict[str, dict[str, float]]]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain dicts, lists and numbers."""
        return {
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "ece": self.ece,
            "per_class": self.per_class,
            "confusion": self.confusion,
            "us_per_email": self.us_per_email,
            "n": self.n,
            "reliability": [{name: getattr(bar, name) for name in Bin.__slots__} for bar in self.reliability],
            "slices": self.slices,
        }

    def to_text(self) -> str:
        """Return the report as a page of plain text, with a reliability diagram."""
        lines = [
            f"{self.n} emails, {self.us_per_email:.0f} µs each",
            f"accuracy {self.accuracy:.3f}   macro-F1 {self.macro_f1:.3f}   calibration error {self.ece:.3f}",
            "",
            f"{'':12}{'precision':>10}{'recall':>10}{'F1':>10}{'emails':>10}",
        ]
        for label, row in self.per_class.items():
            figures = "".join(f"{row[name]:10.3f}" for name in ("precision", "recall", "f1"))
            lines.append(f"{label:12}{figures}{row['support']:10.0f}")
        lines += ["", "true \\ said " + "".join(f"{label:>11}" for label in LABELS)]
        lines += [f"{true:12}" + "".join(f"{n:11}" for n in said.values()) for true, said in self.confusion.items()]
        lines += ["", "confidence   right   emails"]
        lines += [_bar(entry) for entry in self.reliability if entry.n]
        for kind, parts in self.slices.items():
            lines += ["", f"by {kind}"]
            lines += [
                f"  {name[:50]:52}{figures['n']:6.0f}  accuracy {figures['accuracy']:.3f}  macro-F1 {figures['macro_f1']:.3f}"
                for name, figures in parts.items()
            ]
        return "\n".join(lines)


def _bar(entry: Bin) -> str:
    drawn = "█" * round(20 * entry.accuracy)
    return f"{entry.low:.2f}-{entry.high:.2f}   {entry.accuracy:.3f}  {entry.n:6}  {drawn:20} (said {entry.confidence:.3f})"


def evaluate(classifier: Classifies, source: Path | Iterable[str]) -> Report:
    """Measure a classifier on JSON lines of labelled mail.

    Raises OSError, or corpus.CorpusError, which names the bad line.
    """
    items = list(corpus.read_lines(source))
    if not items:
        raise corpus.CorpusError("there is no labelled email in it")
    emails = [item.email for item in items]
    classifier.classify(emails[:1])
    started = time.perf_counter()
    answers = [
        answer for at in range(0, len(emails), _BATCH) for answer in classifier.classify(emails[at : at + _BATCH])
    ]
    seconds = time.perf_counter() - started
    return summarize(items, answers, 1e6 * seconds / len(items))


def summarize(items: Sequence[corpus.Labelled], answers: Sequence[Classification], us_per_email: float) -> Report:
    """Turn true labels and answers into a report."""
    counts = _confusion(items, answers)
    per_class = _per_class(counts)
    reliability = _reliability(items, answers)
    right = sum(counts[number][number] for number in range(len(LABELS)))
    return Report(
        n=len(items),
        accuracy=right / len(items),
        macro_f1=_macro_f1(counts),
        ece=sum(bar.n * abs(bar.accuracy - bar.confidence) for bar in reliability) / len(items),
        us_per_email=us_per_email,
        per_class=per_class,
        confusion={
            true: dict(zip(LABELS, (int(n) for n in row), strict=True))
            for true, row in zip(LABELS, counts, strict=True)
        },
        reliability=reliability,
        slices=_slices(items, answers),
    )


def _confusion(items: Sequence[corpus.Labelled], answers: Sequence[Classification]) -> list[list[int]]:
    counts = [[0] * len(LABELS) for _ in LABELS]
    for item, answer in zip(items, answers, strict=True):
        counts[LABELS.index(item.label)][LABELS.index(answer.label)] += 1
    return counts


def _per_class(counts: list[list[int]]) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    for number, label in enumerate(LABELS):
        hits, support = counts[number][number], sum(counts[number])
        said = sum(row[number] for row in counts)
        table[label] = {
            "precision": hits / said if said else 0.0,
            "recall": hits / support if support else 0.0,
            "f1": 2 * hits / (said + support) if said + support else 0.0,
            "support": support,
        }
    return table


def _macro_f1(counts: list[list[int]]) -> float:
    """Return the mean F1 of the labels that some email has or was given; a label that never occurs has no F1."""
    there = [
        row["f1"]
        for number, row in enumerate(_per_class(counts).values())
        if any(counts[number]) or any(said[number] for said in counts)
    ]
    return sum(there) / len(there)


def _reliability(items: Sequence[corpus.Labelled], answers: Sequence[Classification]) -> list[Bin]:
    confidence = np.array([answer.confidence for answer in answers])
    right = np.array([item.label == answer.label for item, answer in zip(items, answers, strict=True)])
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bars: list[Bin] = []
    for number in range(BINS):
        inside = place == number
        n = int(inside.sum())
        said, true = (float(confidence[inside].mean()), float(right[inside].mean())) if n else (0.0, 0.0)
        bars.append(Bin(number / BINS, (number + 1) / BINS, n, said, true))
    return bars


def _slices(
    items: Sequence[corpus.Labelled], answers: Sequence[Classification]
) -> dict[str, dict[str, dict[str, float]]]:
    kinds: dict[str, dict[str, list[int]]] = {"source": {}, "length": {}, "headers": {}, "language guess": {}}
    for number, item in enumerate(items):
        body = item.email.body
        names = {
            "source": item.source or "not given",
            "length": next((f"under {limit}" for limit in (200, 1_000, 3_000) if len(body) < limit), "3000 and more"),
            "headers": "with headers" if item.email.headers else "without headers",
            "language guess": guess_language(f"{item.email.subject}\n{body}"),
        }
        for kind, name in names.items():
            kinds[kind].setdefault(name, []).append(number)
    return {
        kind: {name: _figures(items, answers, parts[name]) for name in sorted(parts)} for kind, parts in kinds.items()
    }


def _figures(
    items: Sequence[corpus.Labelled], answers: Sequence[Classification], chosen: Sequence[int]
) -> dict[str, float]:
    counts = _confusion([items[number] for number in chosen], [answers[number] for number in chosen])
    right = sum(counts[number][number] for number in range(len(LABELS)))
    return {"n": len(chosen), "accuracy": right / len(chosen), "macro_f1": _macro_f1(counts)}
