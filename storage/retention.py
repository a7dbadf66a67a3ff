"""Prunes old data in small slices: email texts, failed tries, settled dead letters, notifications, counts by minute.

The janitor (actors/pruning.py) and `run.py prune` call `slice`. Rows of the books and results stay, so the books balance
whatever is pruned here. Each slice is one short transaction and may be repeated, also on several nodes at once.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, takewhile

import msgspec

from storage import meta
from storage.contents import write_contents
from storage.counters import MINUTE
from storage.database import Database
from storage.records import BookState, Content, LetterState
from storage.statements import batch, execute, is_postgres

DAY = 86_400.0
SLICE = 500


class Slice(msgspec.Struct, frozen=True):
    """The outcome of one slice: the number of rows pruned, and whether there may be more."""

    forgotten: int
    more: bool


class Keep(msgspec.Struct, frozen=True):
    """How many days to keep each kind of data; 0 keeps it for ever."""

    bodies: float = 0
    contents: float = 0
    attempts: float = 0
    dead_letters: float = 0
    notifications: float = 0
    events: float = 0
    minutes: float = 0

    def before(self, now: float) -> dict[str, float]:
        """Return for each kind that is not kept for ever the time before which its data is pruned."""
        return {name: now - days * DAY for name, days in msgspec.structs.asdict(self).items() if days}


class Retention:
    """Prunes old data of one database. The kinds are those of KINDS."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def slice(self, kind: str, before: float, limit: int = SLICE) -> Slice:
        """Prune a slice of about `limit` rows of a kind that are older than `before`."""
        return self._db.write(KINDS[kind].forget, before, limit)

    def count(self, kind: str, before: float) -> int:
        """Return how many rows repeated calls of `slice` would prune. Reads a whole table: not for use in loops."""
        return self._db.read(KINDS[kind].count, before)

    def give_back(self) -> int:
        """Return free pages of SQLite's file to the disk; return how many remain. PostgreSQL does this itself."""
        return self._db.give_back()


class Kind(msgspec.Struct, frozen=True):
    """How to prune and how to count one kind of data."""

    forget: Callable[[float, int], Slice]
    count: Callable[[float], int]


# -- texts of emails: a mark says up to which ref they are gone ----------------------------------------------------------


def _bodies(before: float, limit: int) -> Slice:
    return _walk("bodies", before, limit, _empty)


def _contents(before: float, limit: int) -> Slice:
    return _walk("contents", before, limit, _drop)


def _walk(kind: str, before: float, limit: int, forget: Callable[[int, int], int]) -> Slice:
    """Prune from the mark on, by ref, up to the first email that is too young or still open: its text is yet to come.

    If an email stays open (its source is away for long, say), a second mark moves on beyond it; once the email is
    closed, the first mark follows.
    """
    mark = _mark(kind)
    due = _due(mark, before, limit)
    closed = [ref for ref, _ in takewhile(_is_closed, due)]
    if closed:
        forgotten = forget(mark, closed[-1])
        _set_mark(kind, closed[-1])
        return Slice(forgotten, more=len(due) == limit or len(due) > len(closed))
    ahead = max(mark, _mark(f"{kind}:ahead"))
    due = _due(ahead, before, limit)
    if not due:
        return Slice(0, more=False)
    refs = [[ref for ref, _ in run] for is_closed, run in groupby(due, _is_closed) if is_closed]
    forgotten = sum(forget(run[0] - 1, run[-1]) for run in refs)
    _set_mark(f"{kind}:ahead", due[-1][0])
    return Slice(forgotten, more=len(due) == limit)


def _due(after: int, before: float, limit: int) -> list[tuple[int, int]]:
    """Return the refs and states of the emails after a mark, up to the first one that is too young."""
    rows = execute("SELECT id, listed_at, state FROM book WHERE id > ? ORDER BY id LIMIT ?", [after, limit])
    return [(int(ref), state) for ref, _, state in takewhile(lambda row: row[1] < before, rows)]


def _is_closed(row: tuple[int, int]) -> bool:
    return row[1] != BookState.OPEN


TEXT_IS_WHOLE = (
    "NOT (content.body = '' AND content.headers = '{}' AND content.ref <= (SELECT COALESCE(MAX(CAST(value AS BIGINT)), 0) "
    "FROM meta WHERE name IN ('forgotten:bodies', 'forgotten:bodies:ahead')))"
)
"""The condition that a content row still has its body and headers.

A classification without them must not replace one of the whole text.
"""


def _mark(kind: str) -> int:
    return int(meta.get(f"forgotten:{kind}") or 0)


def _set_mark(kind: str, ref: int) -> None:
    meta.put(f"forgotten:{kind}", str(ref))


def _empty(after: int, last: int) -> int:
    """Delete the rows and insert them without text: a row that only shrinks frees no pages of SQLite's file."""
    rows = execute(
        "DELETE FROM content WHERE ref > ? AND ref <= ? AND (body <> '' OR headers <> '{}') "
        "RETURNING ref, subject, sender, recipient, sent_at, truncated",
        [after, last],
    )
    write_contents(
        [
            (ref, Content(subject, "", sender, recipient, sent_at, truncated=bool(truncated)))
            for ref, subject, sender, recipient, sent_at, truncated in sorted(rows)
        ]
    )
    return len(rows)


def _drop(after: int, last: int) -> int:
    rows = execute("DELETE FROM content WHERE ref > ? AND ref <= ? RETURNING ref", [after, last])
    forget_words([ref for (ref,) in rows])
    return len(rows)


def forget_words(refs: Sequence[int]) -> None:
    """Remove emails from the full-text index and from its queue.

    The queue comes first: that waits for an indexer that has taken one of them, and whose words are then there to go.
    """
    table, params = batch({"ref": "bigint"}, [(ref,) for ref in refs])
    execute(f"DELETE FROM unindexed WHERE ref IN (SELECT batch.ref FROM {table})", params)
    column = "ref" if is_postgres() else "rowid"
    execute(f"DELETE FROM search WHERE {column} IN (SELECT batch.ref FROM {table})", params)


def _count_bodies(before: float) -> int:
    return _count_texts("bodies", before, " AND (body <> '' OR headers <> '{}')")


def _count_contents(before: float) -> int:
    return _count_texts("contents", before, "")


def _count_texts(kind: str, before: float, wanted: str) -> int:
    sql = (
        "SELECT COUNT(*) FROM content JOIN book ON book.id = content.ref "
        f"WHERE book.id > ? AND book.listed_at < ? AND book.state <> {BookState.OPEN}{wanted}"
    )
    return int(execute(sql, [_mark(kind), before])[0][0])


# -- rows with a time of their own ---------------------------------------------------------------------------------------


def _oldest(table: str, at: str, condition: str = "1 = 1") -> Kind:
    """Return the Kind of a table whose times rise with its ids: the oldest rows go, up to the first too young one."""

    def forget(before: float, limit: int) -> Slice:
        rows = execute(f"SELECT id, {at} FROM {table} WHERE {condition} ORDER BY id LIMIT ?", [limit])
        ids = [(row_id,) for row_id, moment in rows if moment < before]
        chosen, params = batch({"id": "bigint"}, ids)
        execute(f"DELETE FROM {table} WHERE id IN (SELECT batch.id FROM {chosen})", params)
        return Slice(len(ids), more=len(ids) == limit)

    def count(before: float) -> int:
        return int(execute(f"SELECT COUNT(*) FROM {table} WHERE {condition} AND {at} < ?", [before])[0][0])

    return Kind(forget, count)


def _letters(before: float, limit: int) -> Slice:
    """Prune replayed and discarded dead letters; standing ones are never pruned."""
    forgotten = 0
    for state in (LetterState.REPLAYED, LetterState.DISCARDED):
        kind = _oldest("dead_letter", "dead_at", f"state = {state}")
        forgotten += kind.forget(before, limit - forgotten).forgotten
    return Slice(forgotten, more=forgotten == limit)


def _minutes(before: float, limit: int) -> Slice:
    """Prune counts by minute; those by hour stay. Minutes go whole, so the last one may take a slice over its limit."""
    rows = execute(
        "DELETE FROM bucket WHERE step = ? AND name = 'emails' AND start < ? AND start IN (SELECT start FROM bucket "
        "WHERE step = ? AND name = 'emails' AND start < ? ORDER BY start LIMIT ?) RETURNING start",
        [MINUTE, int(before), MINUTE, int(before), limit],
    )
    return Slice(len(rows), more=len(rows) >= limit)


def _count_minutes(before: float) -> int:
    sql = "SELECT COUNT(*) FROM bucket WHERE step = ? AND name = 'emails' AND start < ?"
    return int(execute(sql, [MINUTE, int(before)])[0][0])


KINDS: Mapping[str, Kind] = {
    "bodies": Kind(_bodies, _count_bodies),
    "contents": Kind(_contents, _count_contents),
    "attempts": _oldest("attempt", "at"),
    "dead_letters": Kind(_letters, _oldest("dead_letter", "dead_at", f"state <> {LetterState.DEAD}").count),
    "notifications": _oldest("notification", "received_at"),
    "minutes": Kind(_minutes, _count_minutes),
}
"""The kinds that SQL holds. `events` are in Redis, and only the janitor trims them."""
