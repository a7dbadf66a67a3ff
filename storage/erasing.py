"""Erases what is stored of a sender's emails, whatever their state: text, words of the index, result, dead letters and failed tries.

Called by web/erasing.py. The row in the books stays, in the state `erased`, so the books balance and the next listing brings nothing back.
"""

from collections import Counter
from collections.abc import Sequence

from storage.counters import Moves
from storage.database import Database
from storage.query import Query, tokens
from storage.records import LABELS, BookState
from storage.retention import forget_words
from storage.search import condition
from storage.statements import batch, execute, for_update

SLICE = 200


WIPE_S = 5.0
"""So long free pages are given back after an erasure; the janitor goes on with the rest."""


class Erasing:
    """Erases in one database. `shard` names who moves counters."""

    def __init__(self, db: Database, *, shard: str = "erasing") -> None:
        self._db = db
        self._shard = shard

    def find(self, sender: str, after: int = 0, limit: int = SLICE) -> list[int]:
        """Give refs above `after` of stored emails by this sender: the address alone, or within `Name <address>`, in any case."""
        return self._db.read(_find, sender, after, limit)

    def erase(self, refs: Sequence[int]) -> int:
        """Erase these (SLICE at most), each guarded by its state; how many were not erased before."""
        return self._db.write(_erase, sorted(refs), self._shard) if refs else 0

    def wipe(self) -> None:
        """Leave nothing of it in SQLite's files: free pages go back to the disk, and the log that still has the text is emptied."""
        self._db.give_all_back(WIPE_S)
        self._db.checkpoint()

    def open(self) -> int:
        """How many emails are open: nobody knows yet who sent those."""
        return int(self._db.read(execute, f"SELECT COUNT(*) FROM book WHERE state = {BookState.OPEN}")[0][0])


def _find(sender: str, after: int, limit: int) -> list[int]:
    """The index gives the candidates, and the text itself decides; what waits to be indexed is looked at too."""
    wanted = sender.strip().casefold()
    clauses, params = condition(Query(senders=(wanted,)), "content.ref")
    found = _matching(clauses, params, wanted, after, limit)
    waiting = _matching(["content.ref IN (SELECT ref FROM unindexed)"], [], wanted, after, limit)
    return sorted({*found, *waiting})[:limit]


def _matching(clauses: Sequence[str], params: Sequence[object], wanted: str, after: int, limit: int) -> list[int]:
    found: list[int] = []
    while len(found) < limit:
        where = " AND ".join(["content.ref > ?", *clauses])
        rows = execute(
            f"SELECT content.ref, sender FROM content WHERE {where} ORDER BY content.ref LIMIT ?",
            [after, *params, limit],
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
    """Whether there is anything in it that the index could know."""
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
    execute(
        f"UPDATE book SET state = {BookState.ERASED}, generation = generation + 1, last_error = NULL, next_attempt_at = NULL, "
        f"first_missing_at = NULL WHERE id {within}",
        params,
    )
    return len(held)


def _move(held: Sequence[tuple[int, int, bool]], within: str, params: Sequence[object], shard: str) -> None:
    """The totals follow; counts by the hour stay as history, which names nobody. Who labels at the same time is waited for or waits."""
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
