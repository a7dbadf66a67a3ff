"""Fills a database with many emails through the product's own stores, without the work that normally leads to them.

Used by the browser test of a long history and by scripts/dashboard_figures.py, on the database of a stopped server.
"""

import random
import time
from pathlib import Path

from storage.books import Books
from storage.database import Database
from storage.records import LABELS, Content, Look, NewResult
from storage.results import ResultStore
from storage.search import Search
from storage.statements import execute

SLICE = 2_000
WORDS = [
    "agenda",
    "budget",
    "calendar",
    "delivery",
    "garden",
    "harbour",
    "invoice",
    "lunch",
    "meeting",
    "offer",
    "project",
    "report",
    "summer",
    "ticket",
    "welcome",
]
SPREAD_S = 20 * 86_400
INDEXED_AT_ONCE = 5_000
LISTED_THEN = "UPDATE book SET listed_at = result.processed_at FROM result WHERE result.ref = book.id"
"""The stores record that emails were listed now; this makes the history older."""


def fill(path: Path, size: int) -> None:
    """Store `size` more emails of the source `main`, with results and in the index, spread over the last weeks."""
    database = Database(f"sqlite:///{path}")
    try:
        books, results, dice = Books(database, shard="fill"), ResultStore(database), random.Random(5)
        source = books.source("main")
        for start in range(0, size, SLICE):
            ids = [f"old-{number:07}" for number in range(start, min(start + SLICE, size))]
            at = time.time() - SPREAD_S * (1 - start / size)
            rows = books.enter(source, ids, Look("poll", at), lane="low")
            results.save([_result(ref, key, at, dice) for ref, key in rows], shard="fill")
        database.write(execute, LISTED_THEN)
        search = Search(database)
        while search.index(INDEXED_AT_ONCE):
            pass
        database.checkpoint()
    finally:
        database.close()


def _result(ref: int, key: str, at: float, dice: random.Random) -> NewResult:
    label = LABELS[ref % 4]
    words = dice.sample(WORDS, 4)
    sure = dice.uniform(0.62, 0.99)
    rest = (1 - sure) / 3
    return NewResult(
        source="main",
        key=key,
        ref=ref,
        generation=0,
        attempts=0,
        content=Content(" ".join(words[:3]).capitalize(), f"About the {words[3]}.", f"person{ref % 997}@example.com"),
        model_label=label,
        confidence=sure,
        probabilities={name: sure if name == label else rest for name in LABELS},
        model_version="filled",
        processor_id="fill",
        processing_ms=0.1,
        processed_at=at,
        times={"listed": at, "fed": at, "fetched": at},
    )
