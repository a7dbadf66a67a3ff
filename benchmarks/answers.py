"""(h) How long the web's answers take at each size: the running system on a database that growth.py filled."""

import shutil
import statistics
import time
import urllib.parse

from benchmarks.rig import Figures, child, folder, valkey
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


def run(size: int, count: int) -> Figures:
    """The stage's throughput on top of `size` stored emails, then the answers (median and longest of some, in ms)."""
    with folder() as path:
        with valkey(path) as url:
            figures = child("benchmarks.growth", path, url, size, count, seconds=3000)
        data = path / "data"
        data.mkdir()
        for file in path.glob("stage.db*"):
            shutil.move(file, data / file.name.replace("stage.db", "emails.db"))
        with system(path, fakemail_url="http://bench", POLL_INTERVAL_S="3600") as ours:
            return {**figures, "answers": {name: _ask(ours, query) for name, query in QUERIES.items()}}


def _ask(ours: System, query: str) -> Figures:
    took = []
    for _ in range(ASKED):
        began = time.perf_counter()
        call(f"{ours.url}{query}")
        took.append((time.perf_counter() - began) * 1000)
    return {"median_ms": statistics.median(took), "max_ms": max(took)}
