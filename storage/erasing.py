"""Erases the stored data of a sender's emails in any state: text, index entries, result, dead letters, failed tries.

Called by web/erasing.py. The rows stay in the books, in the state `erased`, so that the books balance and the next
listing does not bring the emails back.
"""

import time
from collections import Counter
from collections.abc import Sequence

from storage import search
from storage.counters import Moves
from storage.database import Database
from storage.query import Query, tokens
from storage.records import LABELS, BookState
from storage.retention import forget_words
from storage.statements import batch, execute, for_update, is_postgres

SLICE = 200

WIPE_S = 5.0
"""How long an erasure cleans the index and frees pages of the file; the janitor does the rest."""


class Erasing:
    """Erases in one database. `shard` is the counter shard to write to."""

    def __init__(self, db: Database, *, shard: str = "erasing") -> None:
        self._db = db
        self._shard = shard

    def find(self, sender: str, after: int = 0, limit: int = SLICE, *, source: str | None = None) -> list[int]:
        """Return refs above `after` of emails from this sender: `address` or `Name <address>`, ignoring case.

        With `source`, only those of that source.
        """
        return self._db.read(_find, sender, source, after, limit)

    def erase(self, refs: Sequence[int]) -> int:
        """Erase these emails (at most SLICE), guarded by their state; return how many were not erased before."""
        return self._db.write(_erase, sorted(refs), self._shard) if refs else 0

    def wipe(self) -> None:
        """Remove the text from SQLite's files: the index, free pages, and the log, which still hold it."""
        deadline = time.monotonic() + WIPE_S
        index = search.Search(self._db)
        while index.forget() and time.monotonic() < deadline:
            pass
        self._db.give_all_back(deadline - time.monotonic())
        self._db.checkpoint()

    def open(self, source: str | None = None) -> int:
        """Return the number of open emails (of one source), whose senders are not known yet."""
        chosen = "" if source is None else " AND source = (SELECT id FROM source WHERE name = ?)"
        sql = f"SELECT COUNT(*) FROM book WHERE state = {BookState.OPEN}{chosen}"
        rows = self._db.read(execute, sql, [] if source is None else [source])
        return int(rows[0][0])


def _find(sender: str, source: str | None, after: int, limit: int) -> list[int]:
    """Find candidates by the index and among emails not indexed yet, and compare their sender texts."""
    wanted = sender.strip().casefold()
    clause, params = search.walk(Query(senders=(wanted,)))
    within, names = ("", []) if source is None else (OF_SOURCE, [source])
    indexed = _matching(*INDEXED[is_postgres()], clause + within, [*params, *names], wanted, after, limit)
    waiting = _matching(*WAITING, f"1 = 1{within}", names, wanted, after, limit)
    return sorted({*indexed, *waiting})[:limit]


INDEXED = (
    ("search CROSS JOIN content ON content.ref = search.rowid", "search.rowid"),
    ("search JOIN content ON content.ref = search.ref", "search.ref"),
)
"""The tables to walk, and the column to walk by, on SQLite and on PostgreSQL."""

WAITING = ("unindexed JOIN content ON content.ref = unindexed.ref", "unindexed.ref")

OF_SOURCE = " AND (SELECT source FROM book WHERE id = content.ref) = (SELECT id FROM source WHERE name = ?)"


def _matching(
    tables: str, place: str, clause: str, params: Sequence[object], wanted: str, after: int, limit: int
) -> list[int]:
    """Walk the tables, page by page. Both bounds are needed: PostgreSQL's planner does not derive one from the other."""
    found: list[int] = []
    while len(found) < limit:
        rows = execute(
            f"SELECT content.ref, content.sender FROM {tables} WHERE {place} > ? AND content.ref > ? AND {clause} "
            f"ORDER BY {place} LIMIT ?",
            [after, after, *params, limit],
        )
        found += [ref for ref, text in rows if _is(text, wanted)]
        if len(rows) < limit:
            break
        after = rows[-1][0]
    return found


def _is(text: str, wanted: str) -> bool:
    folded = text.strip().casefold()
    return folded == wanted or folded.endswith(f"<{wanted}>")


def has_tokens(sender: str) -> bool:
    """Return whether the sender contains anything that the index can hold."""
    return bool(tokens(sender))


def _erase(refs: Sequence[int], shard: str) -> int:
    table, params = batch({"ref": "bigint"}, [(ref,) for ref in refs])
    held = execute(
        f"SELECT id, state, next_attempt_at IS NOT NULL FROM book WHERE id IN (SELECT batch.ref FROM {table}) "
        f"AND state <> {BookState.ERASED} ORDER BY id {for_update()}",
        params,
    )
    if not held:
        return 0
    table, params = batch({"ref": "bigint"}, [(ref,) for ref, _, _ in held])
    within = f"IN (SELECT batch.ref FROM {table})"
    _move(held, within, params, shard)
    for name in ("result", "content", "attempt", "dead_letter", "shadow_difference", "opinion"):
        execute(f"DELETE FROM {name} WHERE ref {within}", params)
    forget_words([ref for ref, _, _ in held])
    search.forget_later()
    execute(
        f"UPDATE book SET state = {BookState.ERASED}, generation = generation + 1, last_error = NULL, next_attempt_at = NULL, "
        f"first_missing_at = NULL WHERE id {within}",
        params,
    )
    return len(held)


def _move(held: Sequence[tuple[int, int, bool]], within: str, params: Sequence[object], shard: str) -> None:
    """Update the totals; counts by minute and hour stay, since they name nobody. Row locks keep corrections waiting."""
    states = Counter(state for _, state, _ in held)
    moves = Moves()
    moves.add("erased", len(held))
    moves.add("dead", -states[BookState.DEAD])
    moves.add("discarded", -states[BookState.DISCARDED])
    moves.add("retrying", -sum(state == BookState.OPEN and bool(waits) for _, state, waits in held))
    for label, milliseconds in execute(
        f"SELECT label, processing_ms FROM result WHERE ref {within} ORDER BY id {for_update()}", params
    ):
        moves.add("emails", -1, LABELS[label])
        moves.add("processing_ms", -float(milliseconds))
    moves.apply(shard)
