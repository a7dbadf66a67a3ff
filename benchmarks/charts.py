"""Draws docs/images/bench-*.png from results.json. run.py runs it in the benchmarks' environment, with matplotlib."""

import json
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found]  # only in the benchmarks' environment

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter

HERE = Path(__file__).parent
IMAGES = HERE.parent / "docs" / "images"
OURS, OTHERS, LIMIT = "#0b7285", "#adb5bd", "#495057"


def throughput(found: dict[str, Any]) -> None:
    """Draw bars relative to the loop, longest at the top."""
    bars = sorted(found["ratios"].items(), key=lambda item: item[1]["median"])
    names = [name for name, _ in bars]
    values = [each["median"] for _, each in bars]
    errors = [[each["median"] - each["min"] for _, each in bars], [each["max"] - each["median"] for _, each in bars]]
    colors = [LIMIT if name == "loop" else OURS if name == "stage" or "whole" in name else OTHERS for name in names]
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(bars) + 1.2), layout="constrained")
    axes.barh(names, values, color=colors, xerr=errors, ecolor="#868e96", capsize=2)
    for place, value in enumerate(values):
        axes.text(
            max(value, errors[1][place] + value) + 0.01,
            place,
            f"{value:.2f}" if value >= 0.01 else f"{value:.3f}",
            va="center",
            fontsize=9,
        )
    axes.set_xlabel("emails a second on one core, relative to a tight hand-written loop")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(IMAGES / "bench-throughput.png", dpi=120)


def latency(found: dict[str, Any]) -> None:
    """Draw the percentiles at each rate."""
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    shares = ["p50_ms", "p99_ms", "p99.9_ms"]
    alone = [runs for runs in found["runs"].values() if not runs[0]["backlog"]]
    for shift, runs in enumerate(alone):
        places = [place + (shift - 1) * 0.26 for place in range(len(shares))]
        heights = [median(run[share] for run in runs) for share in shares]
        bars = axes.bar(places, heights, 0.24, label=f"{runs[0]['rate']:,} emails a second")
        axes.bar_label(bars, fmt="%.0f", fontsize=8)
    axes.set_xticks(range(len(shares)), ["median", "p99", "p99.9"])
    axes.set_ylabel("ms from a new email to its event")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(IMAGES / "bench-latency.png", dpi=120)


def main() -> None:
    """Draw every chart that results.json has figures for."""
    results = json.loads((HERE / "results.json").read_text())
    IMAGES.mkdir(parents=True, exist_ok=True)
    if "abcd" in results:
        throughput(results["abcd"])
    if "f" in results:
        latency(results["f"])


if __name__ == "__main__":
    main()
