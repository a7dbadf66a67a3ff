"""The order in which open rows are fed: by feed numbers (`feed_seq`), drawn from a counter of their source.

Called inside the transactions of Books and DeadLetters. Code that opens rows draws their numbers first, which locks the
source's row until the commit. So rows become visible in the order of their numbers, and a feeder that has passed a
number has missed none below it.
"""

from collections.abc import Sequence

from engine.mailbox import LANES
from storage.records import BookState, OpenRow
from storage.statements import batch, execute

QUEUED = f"book.state = {BookState.OPEN} AND book.next_attempt_at IS NULL"
"""Open and not waiting for a retry; with literals, so that it matches the partial index."""

STILL_QUEUED = f"+book.state = {BookState.OPEN} AND +book.next_attempt_at IS NULL"
"""The same, as a guard on rows found by ref: the plus keeps SQLite from scanning an index of all open rows."""


def draw(source_id: int, count: int) -> range:
    """Draw the next `count` feed numbers of a source, locking its row."""
    sql = "UPDATE source SET feed_seq = feed_seq + ? WHERE id = ? RETURNING feed_seq"
    last = int(execute(sql, [count, source_id])[0][0])
    return range(last - count + 1, last + 1)


def draw_for(rows: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Draw numbers for (ref, source id) pairs; return ref → number. Sources are locked in the order of their ids."""
    numbers: dict[int, int] = {}
    for source_id in sorted({source for _, source in rows}):
        refs = [ref for ref, source in rows if source == source_id]
        numbers.update(zip(refs, draw(source_id, len(refs)), strict=True))
    return numbers


def newest(source_id: int) -> int:
    """Return the last number drawn for a source."""
    rows = execute("SELECT feed_seq FROM source WHERE id = ?", [source_id])
    return int(rows[0][0]) if rows else 0


def open_rows(source_id: int, lane: str, after: int, limit: int) -> list[OpenRow]:
    """Return open rows of a lane with numbers above `after`, in the order of the numbers."""
    rows = execute(
        "SELECT book.id, book.key, book.generation, book.attempts, book.feed_seq, book.listed_at, look.notified_at, "
        "book.first_missing_at, book.generation = 0 AND book.last_error IS NULL FROM book LEFT JOIN look ON look.id = book.look "
        f"WHERE {QUEUED} AND book.source = ? AND book.lane = ? AND book.feed_seq > ? ORDER BY book.feed_seq LIMIT ?",
        [source_id, LANES.index(lane), after, limit],
    )
    return [OpenRow(*row) for row in rows]


def suspects(source_id: int, lane: str, up_to: int, after_ref: int, limit: int) -> list[tuple[int, int]]:
    """Return (ref, generation) of open rows with numbers up to `up_to`, in the order of their refs."""
    return execute(
        f"SELECT book.id, book.generation FROM book WHERE {QUEUED} AND book.source = ? AND book.lane = ? "
        "AND book.feed_seq <= ? AND book.id > ? ORDER BY book.id LIMIT ?",
        [source_id, LANES.index(lane), up_to, after_ref, limit],
    )


def refeed(refs: Sequence[tuple[int, int]]) -> int:
    """Renumber those of (ref, generation) that are open and not waiting for a retry; return how many."""
    table, params = batch({"ref": "bigint", "generation": "int"}, sorted(refs))
    held = execute(f"SELECT id, source FROM book WHERE id IN (SELECT batch.ref FROM {table})", params)
    numbers = draw_for([(ref, source) for ref, source in sorted(held)])
    rows = [(ref, generation, numbers[ref]) for ref, generation in sorted(refs) if ref in numbers]
    table, params = batch({"ref": "bigint", "generation": "int", "seq": "bigint"}, rows)
    moved = execute(
        f"UPDATE book SET feed_seq = batch.seq FROM {table} "
        f"WHERE book.id = batch.ref AND book.generation = batch.generation AND {STILL_QUEUED} RETURNING book.id",
        params,
    )
    return len(moved)
