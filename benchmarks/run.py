"""Runs the benchmarks and writes RESULTS.md, results.json and the pictures.

`make bench`, or `python -m benchmarks.run [--only a,b,e] [--quick]`. Each letter is one benchmark of RESULTS.md. Rounds
of contestants are interleaved; the figures of a partial run replace those of the same letters and leave the others.
`--quick` is for trials: few emails, few rounds, and nothing is written.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import answers, fanout, latency, million, peers_run, webhook, whole, workers
from benchmarks.report import write
from benchmarks.rig import Figures, child, folder, machine, ratios, rounds, valkey

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"

Contestants = dict[str, Callable[[], Figures]]


def stage(module: str, count: int, kind: str, *extra: object) -> Figures:
    """Run the loop or the stage once on fresh stores."""
    with folder() as path, valkey(path) as url:
        return child(module, path, url, count, kind, *extra)


def throughput(count: int, turns: int, kind: str, *, peers: bool, share: float) -> Figures:
    """Run (a), (b), (c) and (d) on one core, with one work function, in the same rounds."""
    contestants: Contestants = {
        "loop": partial(stage, "benchmarks.loop", count, kind),
        "stage": partial(stage, "benchmarks.stage", count, kind),
        "whole way, 1 worker process": partial(whole.run, count, frozen=kind == "frozen", processes=1),
        "whole way, all in one process": partial(whole.run, count, frozen=kind == "frozen", processes=0),
    }
    if peers and peers_run.installed():
        contestants |= {name: partial(peers_run.run, name, share=share) for name in peers_run.WORKERS}
    runs = rounds(contestants, turns)
    return {"runs": runs, "ratios": ratios(runs, "loop")}


def abcd(quick: bool) -> Figures:
    """Run with the frozen work function, peers included."""
    return throughput(4_000 if quick else 30_000, 1 if quick else 5, "frozen", peers=True, share=0.1 if quick else 1.0)


def model(quick: bool) -> Figures:
    """Run the same with the product's own model."""
    return throughput(4_000 if quick else 30_000, 1 if quick else 5, "model", peers=False, share=0.0)


def doors(quick: bool) -> Figures:
    """Run (e)."""
    seconds = 2.0 if quick else 5.0
    runs = rounds({"bare": partial(webhook.bare, seconds), "ours": partial(webhook.ours, seconds)}, 1 if quick else 5)
    return {"runs": runs, "ratios": ratios(runs, "bare")}


def latencies(quick: bool) -> Figures:
    """Run (f)."""
    turns, seconds, beside, backlog = (1, 3.0, 2.0, 50_000) if quick else (3, 20.0, 5.0, 100_000)
    alone = {f"{rate:,} a second": partial(latency.run, rate, seconds) for rate in (10, 100, 1_000)}
    syncing = {
        f"{rate:,} a second, a first sync beside it": partial(latency.run, rate, beside, backlog=backlog)
        for rate in (10, 100)
    }
    return {"runs": rounds(alone | syncing, turns)}


def growth(quick: bool) -> Figures:
    """Run (h)."""
    if quick:
        return answers.run((1_000, 10_000), 2_000, 1)
    return answers.run((10_000, 100_000, 1_000_000), 20_000, 5)


def fans(quick: bool) -> Figures:
    """Run (i)."""
    return {"clients": [fanout.run(count, 4.0 if quick else 10.0) for count in (1, 100, 1_000)]}


def two_workers(quick: bool) -> Figures:
    """Run (j): one and two worker processes on the stage."""
    count = 4_000 if quick else 20_000
    runs = rounds({"1": partial(workers.run, 1, count), "2": partial(workers.run, 2, 2 * count)}, 1 if quick else 5)
    return {"runs": runs, "ratios": ratios(runs, "1")}


BENCHMARKS: dict[str, Callable[[bool], Figures]] = {
    "abcd": abcd,
    "m": model,
    "e": doors,
    "f": latencies,
    "h": growth,
    "i": fans,
    "j": two_workers,
    "k": million.run,
}
LETTERS = {"a": "abcd", "b": "abcd", "c": "abcd", "d": "abcd", "g": "abcd"}


def main() -> None:
    """Run the requested benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default=",".join(BENCHMARKS), help="letters, separated by commas (default %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="small and short, to see that it works")
    args = parser.parse_args()
    wanted = dict.fromkeys(LETTERS.get(letter, letter) for letter in args.only.split(","))
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in wanted:
        print(f"== {name}", flush=True)
        began = time.time()
        figures = BENCHMARKS[name](args.quick)
        results[name] = {
            "machine": machine(),
            "commit": _commit(),
            "at": time.strftime("%Y-%m-%d", time.gmtime()),
            "took_s": round(time.time() - began),
            **figures,
        }
        if not args.quick:
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if not args.quick:
        write(results)
        _draw()


def _draw() -> None:
    """Draw the pictures, if the benchmarks' environment, which has matplotlib, exists."""
    python = peers_run.VENV / "bin" / "python"
    if python.exists():
        subprocess.run([python, "-m", "benchmarks.charts"], cwd=HERE.parent, check=True)


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
