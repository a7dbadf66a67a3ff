"""The books: every listed email in one narrow row with one guarded state machine, and the cursors beside them.

The lister, feeder, janitor, ledger and resync task use them, and the web reads them. Each method is one transaction,
with its body in sources.py, feeding.py or retries.py, and safe to repeat after DependencyTrouble. results.py and
dead_letters.py close the rows that are opened here.
"""

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from storage import counters, feeding, folding, meta, retries, sources
from storage.database import Database
from storage.keys import email_key
from storage.records import Attempt, Audit, BookState, CursorMove, KnownEmail, Look, OpenRow, Skipped, SourceState
from storage.rows import BOOK_COLUMNS, BOOK_TABLES, book_row
from storage.statements import encode_json, execute

NAMED = 20
"""How many of a look's new emails the log names."""


class Books:
    """The books of one database. `shard` is the counter shard to write to: use a different one in each process."""

    def __init__(self, db: Database, *, shard: str = "books") -> None:
        self._db = db
        self._shard = shard

    def books_id(self) -> str:
        """Return the random id of these books, the namespace of their mailboxes in Redis; the first call draws it."""
        return self._db.read(meta.get, "books_id") or self._db.write(_draw_books_id)

    def renew_books_id(self, instead_of: str | None = None) -> str:
        """Draw a new id after a restore or a copy, so that mailboxes and positions under the old id are ignored.

        With `instead_of`, replace only that id: if another process has already replaced it, keep and return its id.
        """
        return self._db.write(_renew_books_id, secrets.token_hex(8), instead_of)

    # -- sources and their history ---------------------------------------------------------------------------------------

    def open_source(self, name: str, url: str) -> SourceState:
        """Return the source, creating it if needed. Raises SettingsError if it is bound to another URL."""
        return self._db.write(sources.open_source, name, url)

    def sources(self) -> list[SourceState]:
        """Return all sources."""
        return self._db.read(sources.all_sources)

    def source(self, name: str) -> SourceState:
        """Return the current state of one source. Raises LookupError if there is none."""
        return self._db.read(sources.find, name)

    def enter(
        self,
        source: SourceState,
        ids: Sequence[str],
        look: Look,
        *,
        lane: str,
        move: CursorMove | None = None,
        also: Callable[[int], None] | None = None,
    ) -> list[tuple[int, str]]:
        """Enter one slice (at most 2,000) of ids as FakeMail listed them; return (ref, key) of the new open rows.

        Skips known ids. `move` moves the cursor in the same transaction; if the cursor is not where it expects,
        raises StaleError and enters nothing. Ids longer than 512 bytes become dead letters at once. Adds to `look.new`,
        and sets `look.id` once its row is written. Calls `also` in the same transaction with the number of new ids.
        """
        unknown = self._unknown(source.id, ids)
        if not unknown and move is None and also is None:
            return []
        look.id, new = self._db.write(
            sources.enter, source.id, unknown, look, lane=lane, move=move, also=also, shard=self._shard
        )
        look.new += len(new)
        look.keys += [key for _, key in new[: max(0, NAMED - len(look.keys))]]
        return new

    def _unknown(self, source_id: int, ids: Sequence[str]) -> list[str]:
        keys = {email_key(email_id): email_id for email_id in ids}
        known = self._db.read(sources.known, source_id, list(keys)) if keys else set()
        return [email_id for key, email_id in keys.items() if key not in known]

    def finish_poll(self, source: SourceState, *, began: float, overlap: float) -> SourceState:
        """After a poll of this epoch, raise the floor to the cursor reached `overlap` seconds before it began."""
        return self._db.write(sources.finish_poll, source, began, overlap)

    def reset(self, source: SourceState, to: int = 0) -> SourceState:
        """Start a new epoch with cursor and floor at a history id; StaleError if the source is in another epoch."""
        return self._db.write(sources.reset, source, to)

    def keys_before(self, source: SourceState, key: str, limit: int) -> list[str]:
        """Return keys of a source's emails entered just before this one that are open or results, newest first."""
        return self._db.read(sources.keys_before, source.id, key, limit)

    def skipped(self, source: SourceState) -> Skipped | None:
        """Return what the first start skipped (START_FROM=now); None if it skipped nothing."""
        return self._db.read(sources.skipped, source.name)

    def skip_to(
        self, source: SourceState, history_id: int, left_alone: list[str], *, mark: str | None = None
    ) -> SourceState:
        """Skip what the account holds up to a history id (START_FROM=now). Raises StaleError if the cursor moved.

        `left_alone` holds keys of some skipped emails, to recognise the account by later. `mark` names an entry of the
        desired state that is set to true in the same transaction; once it is, nothing is skipped any more, so that a
        second skip cannot lose newer mail.
        """
        return self._db.write(sources.skip_to, source, history_id, left_alone, mark)

    # -- feeding ---------------------------------------------------------------------------------------------------------

    def open_rows(self, source_id: int, lane: str, after: int, limit: int) -> list[OpenRow]:
        """Return open rows that are not waiting for a retry and have a feed_seq above `after`, in feed_seq order."""
        return self._db.read(feeding.open_rows, source_id, lane, after, limit)

    def newest_seq(self, source_id: int) -> int:
        """Return the last feed_seq of a source; a feeder position beyond it belongs to other books."""
        return self._db.read(feeding.newest, source_id)

    def suspects(self, source_id: int, lane: str, up_to: int, after_ref: int, limit: int) -> list[tuple[int, int]]:
        """Return (ref, generation), by ref, of rows fed up to a feed_seq that are open and wait for no retry."""
        return self._db.read(feeding.suspects, source_id, lane, up_to, after_ref, limit)

    def refeed(self, refs: Sequence[tuple[int, int]]) -> int:
        """Queue those of (ref, generation) that are still open for feeding again; return how many."""
        return self._db.write(feeding.refeed, refs) if refs else 0

    # -- retries ---------------------------------------------------------------------------------------------------------

    def postpone(self, attempts: Sequence[Attempt]) -> list[bool]:
        """Store failed tries; return for each whether the event log needs an event for it."""
        return self._db.write(retries.postpone, attempts, self._shard) if attempts else []

    def due(self, now: float, limit: int) -> int:
        """Queue retries that are due for feeding; return how many."""
        if not self._db.read(retries.any_due, now):
            return 0
        return self._db.write(retries.reopen_due, now, limit, self._shard)

    # -- accounts --------------------------------------------------------------------------------------------------------

    def audit(self, source: str | None = None) -> Audit:
        """Count the rows by state in one snapshot, in all or of one source; LookupError for an unknown source."""
        return self._db.read(_audit, None if source is None else self.source(source).id)

    def set_unaccounted(self, counts: Mapping[str, int], now: float) -> None:
        """Store how many rows, by source, the last check found in no mailbox."""
        self._db.write(_set_unaccounted, dict(counts), now)

    def forget_histograms(self, now: float) -> int:
        """Delete histograms over an hour old, since only the last minutes are needed; return how many rows."""
        return self._db.write(counters.forget_histograms, now - 3600)

    def fold(self, writers: Collection[str], now: float) -> int:
        """Fold a slice of the counters of other writers, and one of old counts; return how many rows, 0 when done."""
        shards = self._db.read(folding.gone, writers)
        folded = self._db.write(folding.fold_counters, shards) if shards else 0
        before = now - folding.KEPT_APART_S
        for step in self._db.read(folding.old_buckets, before):
            folded += self._db.write(folding.fold_buckets, step, before)
        return folded

    def find(self, key: str, source: str | None = None) -> list[KnownEmail]:
        """Return the rows of a key: one for each source that has it, or only that of `source`."""
        return self._db.read(_find, key, source)


def _renew_books_id(drawn: str, instead_of: str | None) -> str:
    if instead_of is None:
        meta.put("books_id", drawn)
        return drawn
    execute("UPDATE meta SET value = ? WHERE name = 'books_id' AND value = ?", [drawn, instead_of])
    return meta.get("books_id") or _draw_books_id()


def _draw_books_id() -> str:
    drawn = secrets.token_hex(8)
    execute("INSERT INTO meta (name, value) VALUES ('books_id', ?) ON CONFLICT (name) DO NOTHING", [drawn])
    return meta.get("books_id") or drawn


def _set_unaccounted(counts: dict[str, int], now: float) -> None:
    meta.put("unaccounted", str(sum(counts.values())))
    meta.put("unaccounted_at", repr(now))
    meta.put("unaccounted_by_source", encode_json(counts).decode())


def _unaccounted(source_id: int | None) -> int:
    if source_id is None:
        return int(meta.get("unaccounted") or 0)
    ((name,),) = execute("SELECT name FROM source WHERE id = ?", [source_id])
    counts: dict[str, int] = msgspec.json.decode(meta.get("unaccounted_by_source") or "{}")
    return counts.get(name, 0)


def _audit(source_id: int | None) -> Audit:
    """Count by the index over states; for one source, read each of its rows."""
    of_source, whose = ("WHERE source = ? ", [source_id]) if source_id is not None else ("", [])
    and_source = "AND source = ?" if source_id is not None else ""
    states = dict(execute(f"SELECT state, COUNT(*) FROM book {of_source}GROUP BY state", whose))
    retrying = execute(
        f"SELECT COUNT(*) FROM book WHERE state = {BookState.OPEN} AND next_attempt_at IS NOT NULL {and_source}", whose
    )[0][0]
    of_row = "WHERE id = ?" if source_id is not None else ""
    listed = execute(f"SELECT COALESCE(SUM(listed), 0) FROM source {of_row}", whose)[0][0]
    opened, results, dead, discarded, erased = (int(states.get(state, 0)) for state in BookState)
    return Audit(
        listed=int(listed),
        results=results,
        queued=opened - int(retrying),
        retrying=int(retrying),
        dead=dead,
        discarded=discarded,
        erased=erased,
        unaccounted=_unaccounted(source_id),
        as_of=time.time(),
    )


def _find(key: str, source: str | None) -> list[KnownEmail]:
    # The index begins with the source: naming the few sources makes these point look-ups, not a scan.
    names = "SELECT id FROM source" if source is None else "SELECT id FROM source WHERE name = ?"
    sql = f"SELECT {BOOK_COLUMNS} FROM {BOOK_TABLES} WHERE book.source IN ({names}) AND book.key = ? ORDER BY book.id"
    return [book_row(row) for row in execute(sql, [*([] if source is None else [source]), key])]
