"""apsw versus the standard sqlite3 module: one transaction of 256 rows with 1.5 KB bodies, WAL, synchronous FULL.

Run `python -m benchmarks.sqlite_drivers [FOLDER]`; docs/decisions/0002-sqlite-through-apsw.md has the figures. Rounds
are interleaved, so that ratios are meaningful on a busy machine; CPU is this thread's, wall includes the disk's flush.
"""

import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
from peewee import AutoField, FloatField, IntegerField, Model, SqliteDatabase, TextField
from playhouse.apsw_ext import APSWDatabase

ROWS = 256
BLOCK = 64
ROUNDS = 60

SCHEMA = (
    "PRAGMA journal_mode = wal",
    "PRAGMA synchronous = full",
    "PRAGMA wal_autocheckpoint = 4000",
    (
        "CREATE TABLE email (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, label INTEGER NOT NULL, "
        "confidence REAL NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL)"
    ),
    "CREATE INDEX email_label ON email (label, id)",
)
INSERT = "INSERT INTO email (key, label, confidence, subject, body) VALUES "
ONE = f"{INSERT}(?, ?, ?, ?, ?) RETURNING id"
MANY = f"{INSERT}{', '.join(['(?, ?, ?, ?, ?)'] * BLOCK)} RETURNING id"

Rows = Sequence[tuple[Any, ...]]
Save = Callable[[Rows], None]


def main() -> None:
    """Measure every way of saving in interleaved rounds, and print µs per email."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    ways = {**apsw_ways(folder), **standard_ways(folder), **peewee_ways(folder)}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(ROUNDS):
        for name, save in ways.items():
            rows = made(f"{name}-{number}")
            wall, cpu = time.perf_counter(), time.thread_time()
            save(rows)
            taken[name].append((time.perf_counter() - wall, time.thread_time() - cpu))
    print(
        f"apsw's SQLite {apsw.sqlite_lib_version()}, sqlite3's {sqlite3.sqlite_version}, {ROUNDS} rounds of {ROWS} rows"
    )
    print(f"{'':32}{'wall':>8}{'least':>8}{'CPU':>8}   µs an email")
    for name, rounds in taken.items():
        walls, cpus = ([each[which] * 1e6 / ROWS for each in rounds] for which in (0, 1))
        print(f"{name:32}{statistics.median(walls):8.1f}{min(walls):8.1f}{statistics.median(cpus):8.1f}")


def made(prefix: str) -> Rows:
    """Return 256 emails with different bodies."""
    body = "".join(random.choices("abcdefghij klmnopqrst uvwxyz", k=1500))
    return [(f"{prefix}-{n}", n % 4, n / ROWS, f"subject {n}", f"{n}{body}") for n in range(ROWS)]


def apsw_ways(folder: Path) -> dict[str, Save]:
    """Save through apsw: row by row, and in blocks."""
    connection = apsw.Connection(str(folder / "apsw.db"))
    for statement in SCHEMA:
        connection.execute(statement)

    def by_row(rows: Rows) -> None:
        connection.execute("BEGIN IMMEDIATE")
        list(connection.executemany(ONE, rows))
        connection.execute("COMMIT")

    def in_blocks(rows: Rows) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for values in blocks(rows):
            list(connection.execute(MANY, values))
        connection.execute("COMMIT")

    return {"apsw, executemany": by_row, "apsw, blocks of 64": in_blocks}


def standard_ways(folder: Path) -> dict[str, Save]:
    """Save through the standard module, whose executemany refuses RETURNING: row by row, and in blocks."""
    connection = sqlite3.connect(folder / "standard.db", isolation_level=None)
    for statement in SCHEMA:
        connection.execute(statement)

    def by_row(rows: Rows) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for row in rows:
            connection.execute(ONE, row).fetchall()
        connection.execute("COMMIT")

    def in_blocks(rows: Rows) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for values in blocks(rows):
            connection.execute(MANY, values).fetchall()
        connection.execute("COMMIT")

    return {"sqlite3, row by row": by_row, "sqlite3, blocks of 64": in_blocks}


def peewee_ways(folder: Path) -> dict[str, Save]:
    """Save through Peewee's insert_many, over either driver."""
    return {
        "Peewee insert_many over apsw": peewee_way(APSWDatabase(str(folder / "peewee-apsw.db"))),
        "Peewee insert_many over sqlite3": peewee_way(SqliteDatabase(str(folder / "peewee-standard.db"))),
    }


def peewee_way(database: Any) -> Save:
    """Save with one multi-row statement built by Peewee."""

    class Email(Model):
        id = AutoField()
        key, subject, body = TextField(), TextField(), TextField()
        label, confidence = IntegerField(), FloatField()

        class Meta:
            table_name = "email"

    database.bind([Email])
    for statement in SCHEMA:
        database.execute_sql(statement)
    fields = [Email.key, Email.label, Email.confidence, Email.subject, Email.body]

    def save(rows: Rows) -> None:
        with database.atomic("IMMEDIATE"):
            list(Email.insert_many(rows, fields=fields).returning(Email.id).tuples())

    return save


def blocks(rows: Rows) -> list[list[Any]]:
    """Return the values of 64 rows at a time, each block as one flat list."""
    return [[value for row in rows[at : at + BLOCK] for value in row] for at in range(0, len(rows), BLOCK)]


if __name__ == "__main__":
    main()
