"""Factories for tests of the books: a source, listed emails, results, failed tries, burials."""

import time
from collections.abc import Sequence
from typing import Any

from storage.books import Books
from storage.database import Database
from storage.records import Attempt, Burial, Content, Look, NewResult, SourceState, waited
from storage.results import ResultStore

URL = "http://127.0.0.1:1"


def open_database(url: str) -> Database:
    """Open and migrate a database."""
    db = Database(url)
    db.migrate()
    return db


def enter(books: Books, ids: Sequence[str], *, source: SourceState | None = None, lane: str = "normal") -> list[int]:
    """Enter ids; return the refs of the new ones."""
    source = source or books.open_source("main", URL)
    return [ref for ref, _ in books.enter(source, ids, Look("poll", time.time(), notified_at=1.0), lane=lane)]


def result(ref: int, key: str, **changes: Any) -> NewResult:
    """Build a result to be saved."""
    fields: dict[str, Any] = {
        "source": "main",
        "key": key,
        "ref": ref,
        "generation": 0,
        "attempts": 0,
        "content": Content(subject=f"subject of {key}", body="body " * 300, sender="a@example.org"),
        "model_label": "meeting",
        "confidence": 0.9,
        "probabilities": {"meeting": 0.9, "promotion": 0.05, "intro": 0.03, "unknown": 0.02},
        "model_version": "v1",
        "processor_id": "node/w1/classifier-1",
        "processing_ms": 0.1,
        "processed_at": time.time(),
        "times": {"notified": time.time() - 1, "listed": time.time() - 0.9},
    }
    if "label" in changes:
        changes["model_label"] = changes.pop("label")
    fields |= changes
    queued, total = waited(fields["times"], fields["processed_at"], fields["processing_ms"])
    return NewResult(**fields, queued_ms=queued, total_ms=total)


def save(store: ResultStore, *results: NewResult, shard: str = "w") -> list[Any]:
    """Save results; return for each the StoredResult now in the database, or None if its row has moved on."""
    saved = store.save(results, shard=shard)
    return [each and store.get(each.key, each.source) for each in saved]


def attempt(ref: int, key: str, **changes: Any) -> Attempt:
    """Build a failed try."""
    now = time.time()
    fields: dict[str, Any] = {
        "source": "main",
        "key": key,
        "ref": ref,
        "generation": 0,
        "attempts": 0,
        "reason": "classifier_error",
        "error": "ValueError: no",
        "at": now,
        "next_at": now + 60,
        "processor_id": "node/w1/classifier-1",
    }
    return Attempt(**{**fields, **changes})


def burial(ref: int, key: str, **changes: Any) -> Burial:
    """Build a final failure."""
    fields: dict[str, Any] = {
        "source": "main",
        "key": key,
        "ref": ref,
        "generation": 0,
        "attempts": 4,
        "reason": "classifier_error",
        "error": "ValueError: no",
        "at": time.time(),
        "processor_id": "node/w1/classifier-1",
    }
    return Burial(**{**fields, **changes})
