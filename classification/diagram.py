"""Draws the reliability diagram of an evaluation as a PNG: how often answers are right against how sure they were.

Used by `python run.py evaluate --png FILE`. matplotlib is not a run-time dependency, so it is imported only here; its
absence is reported as a DiagramError.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from classification.evaluation import BINS, Bin


class DiagramError(RuntimeError):
    """The picture cannot be drawn or written; the message is one line for people."""


def save_png(bins: Sequence[Bin], title: str, path: Path) -> None:
    """Draw a report's bins as bars (share right) with the diagonal, and the numbers of answers below.

    Raises DiagramError.
    """
    try:
        # A development package, imported only when a picture is requested.
        from matplotlib.figure import Figure  # type: ignore[import-not-found,unused-ignore] # noqa: PLC0415 (see above)
    except ImportError:
        raise DiagramError(
            f"a PNG needs matplotlib, which is not installed: {sys.executable} -m pip install matplotlib"
        ) from None
    figure = Figure(figsize=(5, 6), layout="constrained")
    right, amount = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    there = [entry for entry in bins if entry.n]
    middles = [(entry.low + entry.high) / 2 for entry in there]
    right.bar(middles, [entry.accuracy for entry in there], width=0.9 / BINS, color="#4477aa", label="right")
    right.plot([0, 1], [0, 1], color="#777777", linestyle="--", label="as sure as right")
    right.plot([entry.confidence for entry in there], [entry.accuracy for entry in there], "o", color="#222222", ms=4)
    right.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is right", title=title)
    right.legend(loc="upper left")
    amount.bar(middles, [entry.n for entry in there], width=0.9 / BINS, color="#bbbbbb")
    amount.set(xlabel="confidence", ylabel="emails")
    try:
        figure.savefig(path, format="png", dpi=120)
    except OSError as error:
        raise DiagramError(f"{path}: {error.strerror or error}") from error
