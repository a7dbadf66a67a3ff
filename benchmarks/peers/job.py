"""The task: label one email and commit its row. A job queue pays for a commit per message, which is its nature."""

import os
import sqlite3
import threading
import time

from benchmarks.work import classify, email

REDIS = os.environ.get("BENCH_REDIS", "")
DATABASE = os.environ.get("BENCH_DATABASE", "")

SCHEMA = """
CREATE TABLE result (
  id INTEGER PRIMARY KEY, email_id TEXT UNIQUE, subject TEXT, body TEXT, sender TEXT,
  label TEXT, confidence REAL, processed_at REAL
)
"""
INSERT = (
    "INSERT INTO result (email_id, subject, body, sender, label, confidence, processed_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
)

_local = threading.local()


def process(item: dict[str, str]) -> None:
    """Label and store an email; the row is durable on return."""
    label, confidence = classify(item["subject"], item["body"])
    row = (item["id"], item["subject"], item["body"], item["sender"], label, confidence, time.time())
    _connection().execute(INSERT, row)  # its own transaction


def emails(count: int) -> list[dict[str, str]]:
    """Return the emails to enqueue."""
    return [email(number) for number in range(count)]


def _connection() -> sqlite3.Connection:
    if not hasattr(_local, "connection"):
        _local.connection = sqlite3.connect(DATABASE, isolation_level=None, timeout=30)
        _local.connection.execute("PRAGMA journal_mode=wal")
        _local.connection.execute("PRAGMA synchronous=full")
    connection: sqlite3.Connection = _local.connection
    return connection
