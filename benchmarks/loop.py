"""(a) The limit: a tight hand-written loop of the same steps: read, decode, classify, insert, commit, acknowledge.

Run as a child: `python -m benchmarks.loop FOLDER REDIS_URL N frozen|model`. It has no books, events, lanes or recovery.
"""

import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import redis

from benchmarks.rig import Meter, say
from benchmarks.work import classify, email

STREAM, GROUP, BATCH = "work", "g", 256

SCHEMA = """
CREATE TABLE result (
  id INTEGER PRIMARY KEY, email_id TEXT UNIQUE, subject TEXT, body TEXT, sender TEXT,
  label TEXT, confidence REAL, processed_at REAL
)
"""
INSERT = (
    "INSERT INTO result (email_id, subject, body, sender, label, confidence, processed_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
)

Label = tuple[str, float]
Work = Callable[[Sequence[dict[str, str]]], list[Label]]


def open_database(path: str) -> sqlite3.Connection:
    """Set SQLite up as the product does: write-ahead log, every commit flushed."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=wal")
    connection.execute("PRAGMA synchronous=full")
    return connection


def frozen(emails: Sequence[dict[str, str]]) -> list[Label]:
    """Apply the frozen work function to a batch."""
    return [classify(each["subject"], each["body"]) for each in emails]


def model() -> Work:
    """Return the product's classifier as a function of a batch."""
    from classification.model import Classifier, Email  # noqa: PLC0415  (the frozen loop does not need it)

    classifier = Classifier.load()

    def work(emails: Sequence[dict[str, str]]) -> list[Label]:
        found = classifier.classify([Email(each["subject"], each["body"], each["sender"]) for each in emails])
        return [(each.label, each.confidence) for each in found]

    return work


def fill(client: Any, count: int) -> None:
    """Put the emails into the stream."""
    encode = msgspec.msgpack.Encoder().encode
    client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    for start in range(0, count, 1000):
        pipeline = client.pipeline(transaction=False)
        for number in range(start, min(start + 1000, count)):
            pipeline.execute_command("XADD", STREAM, "*", "e", encode(email(number)))
        pipeline.execute()


def run(client: Any, database: sqlite3.Connection, work: Work) -> int:
    """Run the loop; return how many emails it processed."""
    decode = msgspec.msgpack.Decoder(dict[str, str]).decode
    done = 0
    while reply := client.execute_command("XREADGROUP", "GROUP", GROUP, "c", "COUNT", BATCH, "STREAMS", STREAM, ">"):
        entries = next(iter(reply.values()))[0]
        emails = [decode(fields[b"e"]) for _, fields in entries]
        now = time.time()
        rows = [
            (each["id"], each["subject"], each["body"], each["sender"], label, confidence, now)
            for each, (label, confidence) in zip(emails, work(emails), strict=True)
        ]
        database.execute("BEGIN IMMEDIATE")
        database.executemany(INSERT, rows)
        database.execute("COMMIT")
        ids = [entry for entry, _ in entries]
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command("XACK", STREAM, GROUP, *ids)
        pipeline.execute_command("XDEL", STREAM, *ids)
        pipeline.execute()
        done += len(rows)
    return done


def alone(work: Work) -> float:
    """Return what the work alone costs here: µs of CPU per email, the median of a few batches."""
    batches = [[email(number) for number in range(start, start + BATCH)] for start in range(0, 8 * BATCH, BATCH)]
    seconds = []
    for batch in batches:
        began = time.process_time()
        work(batch)
        seconds.append(time.process_time() - began)
    return statistics.median(seconds) / BATCH * 1e6


def main(path: str, url: str, count: int, kind: str) -> None:
    """Fill, then time the loop."""
    client: Any = redis.Redis.from_url(url, protocol=3)  # its execute_command has no types
    database = open_database(f"{path}/loop.db")
    database.execute(SCHEMA)
    fill(client, count)
    work = frozen if kind == "frozen" else model()
    meter = Meter(client)
    done = run(client, database, work)
    figures = meter.read(done)
    assert done == count == database.execute("SELECT count(*) FROM result").fetchone()[0]
    say({**figures, "work_us": alone(work)})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
