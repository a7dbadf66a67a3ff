"""Stores SIZE emails for (h): `python -m benchmarks.growth FOLDER REDIS_URL SIZE`.

The product's own stores write the rows (enter, save, index); only the work is left out.
"""

# ruff: noqa: E402  (gevent patches before anything else is imported)

from gevent import monkey

monkey.patch_all()

import sys
import time

from benchmarks import work
from benchmarks.rig import say
from benchmarks.stage import Stage
from storage.records import LABELS, Content, Look, NewResult
from storage.search import Search

SLICE = 2000


def fill(stage: Stage, size: int) -> None:
    """Store `size` emails with results, and index them."""
    source = stage.books.open_source("main", "http://bench")
    for start in range(0, size, SLICE):
        emails = [work.email(number + 50_000_000) for number in range(start, min(start + SLICE, size))]
        by_key = {each["id"]: each for each in emails}
        rows = stage.books.enter(source, list(by_key), Look("poll", time.time()), lane="low")
        stage.results.save([_result(ref, by_key[key]) for ref, key in rows], shard="fill")
    search = Search(stage.database)
    while search.index(SLICE):
        pass


def _result(ref: int, email: dict[str, str]) -> NewResult:
    now = time.time()
    label = LABELS[ref % 4]
    return NewResult(
        source="main",
        key=email["id"],
        ref=ref,
        generation=0,
        attempts=0,
        content=Content(subject=email["subject"], body=email["body"], sender=email["sender"]),
        model_label=label,
        confidence=0.5 + ref % 50 / 100,
        probabilities=dict.fromkeys(LABELS, 0.25),
        model_version="frozen",
        processor_id="fill",
        processing_ms=0.06,
        processed_at=now,
        times={"listed": now, "fed": now, "fetched": now},
    )


def main(path: str, url: str, size: int) -> None:
    """Fill the store and report the time and the size."""
    stage = Stage(path, url, "worker-1")
    began = time.perf_counter()
    fill(stage, size)
    filled = time.perf_counter() - began
    stage.database.checkpoint()
    say({"stored": size, "fill_s": filled, "database_mib": stage.database.size_bytes() / 2**20})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
