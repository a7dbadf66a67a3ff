"""(h) Growth: the stage's throughput and the web's response times, on databases of several sizes (see growth.py)."""

import shutil
import statistics
import time
import urllib.parse
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.rig import Figures, child, folder, ratios, rounds, valkey
from benchmarks.system import System, call, system

ASKED = 30
QUERIES = {
    "/stats": "/stats",
    "/emails": "/emails?limit=20",
    "/results": "/results?limit=20",
    "/emails?q= (one word)": "/emails?q=thursday",
    "/emails?q= (phrase, from, class)": "/emails?q="
    + urllib.parse.quote('"meeting agenda" from:user7@example.org class:meeting'),
    "/emails?q= (nothing found)": "/emails?q=zyzzyva",
    "/emails?classification=": "/emails?classification=meeting",
    "/results/{id}": "/results/bench-50000007",
    "/audit": "/audit",
}


def run(sizes: Sequence[int], count: int, turns: int) -> Figures:
    """Measure the stage's throughput in turns, with each of `sizes` emails stored before; then response times in ms.

    Each turn stores another `count` emails, in its own process, so that the filling process does not affect it.
    """
    with ExitStack() as folders:
        paths = {size: folders.enter_context(folder()) for size in sizes}
        with ExitStack() as servers:
            urls = {size: servers.enter_context(valkey(paths[size])) for size in sizes}
            filled = [child("benchmarks.growth", paths[size], urls[size], size, seconds=3000) for size in sizes]
            stages = {
                str(size): partial(child, "benchmarks.stage", paths[size], urls[size], count, "frozen")
                for size in sizes
            }
            runs = rounds(stages, turns)
        answers = [_answers(paths[size]) for size in sizes]
    sized = [{**fill, "answers": found} for fill, found in zip(filled, answers, strict=True)]
    return {"sizes": sized, "runs": runs, "ratios": ratios(runs, str(sizes[0]))}


def _answers(path: Path) -> dict[str, Figures]:
    """Run the system on the stage's store in this folder and measure its response times."""
    data = path / "data"
    data.mkdir()
    for file in path.glob("stage.db*"):
        shutil.move(file, data / file.name.replace("stage.db", "emails.db"))
    with system(path, fakemail_url="http://bench", POLL_INTERVAL_S="3600") as ours:
        return {name: _ask(ours, query) for name, query in QUERIES.items()}


def _ask(ours: System, query: str) -> Figures:
    took = []
    for _ in range(ASKED):
        began = time.perf_counter()
        call(f"{ours.url}{query}")
        took.append((time.perf_counter() - began) * 1000)
    return {"median_ms": statistics.median(took), "max_ms": max(took)}
