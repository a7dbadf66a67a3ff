"""Dead letters: emails that failed for good, with reason, attempts and content; people replay or discard them.

Their writer (actors/dead_letter_writer.py) stores them; the web and the command line read, replay and discard them.
The books decide an email's state: a letter is history, unique by (ref, generation), and its `state` says whether it
still stands. Every change is guarded by the row's state and generation.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.mailbox import LANES
from engine.outcome import error_text
from storage.contents import write_contents
from storage.counters import Moves
from storage.database import Database
from storage.feeding import draw_for
from storage.holding import Held, hold
from storage.models import DeadLetterRow
from storage.records import Attempt, BookState, Burial, DeadLetter, DeadLetterGroup, LetterState
from storage.rows import LETTER_COLUMNS, LETTER_FIELDS, LETTER_TABLES, dead_letter, one_page
from storage.statements import batch, encode_json, execute, insert


class DeadLetters:
    """The dead letters of one database. `shard` is the counter shard to write to."""

    def __init__(self, db: Database, *, shard: str = "books") -> None:
        self._db = db
        self._shard = shard

    def bury(self, burials: Sequence[Burial]) -> list[DeadLetter | None]:
        """Move open rows to `dead`, keeping reason and content; return a letter for each, None if the row has moved on.

        Idempotent: for a row that is already dead in this generation, the existing letter is returned.
        """
        return self._db.write(_bury, burials, self._shard) if burials else []

    def get(self, letter_id: int) -> DeadLetter | None:
        """Return one letter in any state, or None."""
        return self._db.read(_get, letter_id)

    def page(
        self,
        before: int | None = None,
        limit: int = 20,
        *,
        reason: str | None = None,
        source: str | None = None,
        since: float | None = None,
        until: float | None = None,
        email: str | None = None,
    ) -> tuple[list[DeadLetter], int | None]:
        """Return standing letters with ids below `before`, newest first, and the `before` of the next page, if any.

        `email` is a key; `since` <= dead_at < `until`.
        """
        filters = _filters(reason=reason, source=source, since=since, until=until, email=email)
        return self._db.read(_page, before, limit, filters)

    def groups(self, source: str | None = None) -> list[DeadLetterGroup]:
        """Return the standing letters, of all sources or one, grouped by cause, most frequent first."""
        return self._db.read(_groups, source)

    def lives(self, ref: int) -> list[DeadLetter]:
        """Return all letters of one email, oldest first: each replay that failed again left one more."""
        return self._db.read(_lives, ref)

    def attempts_of(self, ref: int, generation: int) -> list[Attempt]:
        """Return the failed tries of one generation of an email, oldest first."""
        return self._db.read(_attempts_of, ref, generation)

    def count(self, before: int | None = None, **filters: Any) -> int:
        """Count the standing letters that `page` would return in all for the same `before` and filters."""
        return self._db.read(_count, before, _filters(**filters))

    def newest(self) -> int:
        """Return the id of the newest letter; 0 if there is none."""
        return self._db.read(_newest)

    def replay(self, ids: Sequence[int], *, lane: str = "high", also: Callable[[int], None] | None = None) -> int:
        """Reopen the emails of these letters as a new generation with no attempts spent; return how many.

        Calls `also` with that number in the same transaction.
        """
        return self._db.write(_replay, ids, LANES.index(lane), self._shard, also) if ids or also else 0

    def discard(self, letter_id: int) -> bool:
        """Discard the email (dead → discarded); return False if the letter does not stand."""
        return self._db.write(_discard, letter_id, self._shard)


def _bury(burials: Sequence[Burial], shard: str) -> list[DeadLetter | None]:
    held = hold(burial.ref for burial in burials)
    current = [each if each.ref in held and held[each.ref].is_of(each) else None for each in burials]
    fresh: dict[int, Burial] = {}
    for each in sorted(filter(None, current), key=lambda burial: burial.ref):
        if held[each.ref].state == BookState.OPEN:
            fresh.setdefault(each.ref, each)
    _write(list(fresh.values()), held, shard)
    letters = _letters_of(list(filter(None, current)))
    return [letters.get((each.ref, each.generation, each.key)) if each else None for each in current]


def _write(burials: Sequence[Burial], held: Mapping[int, Held], shard: str) -> None:
    if not burials:
        return
    rows = [(each.ref, each.attempts, error_text(each.error)) for each in burials]
    table, params = batch({"ref": "bigint", "attempts": "int", "error": "text"}, rows)
    execute(
        f"UPDATE book SET state = {BookState.DEAD}, attempts = batch.attempts, last_error = batch.error "
        f"FROM {table} WHERE book.id = batch.ref",
        params,
    )
    insert(DeadLetterRow, LETTER_FIELDS, [_values(each, held[each.ref]) for each in burials])
    write_contents([(each.ref, each.content) for each in burials if each.content is not None])
    moves = Moves()
    moves.add("dead", len(burials))
    moves.add("errors", len(burials))
    moves.add("retrying", -sum(held[each.ref].next_attempt_at is not None for each in burials))
    moves.apply(shard)


def _values(burial: Burial, held: Held) -> tuple[Any, ...]:
    return (
        burial.ref,
        burial.generation,
        held.source,
        LetterState.DEAD.value,
        burial.reason,
        error_text(burial.error),
        burial.attempts,
        held.listed_at,
        float(burial.at),
        burial.processor_id,
        encode_json(burial.times).decode(),
    )


def _letters_of(burials: Sequence[Burial]) -> dict[tuple[int, int, str], DeadLetter]:
    """Find the letters of rows that are dead in the generation of their burial, from this or an earlier commit."""
    if not burials:
        return {}
    keys = [(each.ref, each.generation) for each in burials]
    table, params = batch({"ref": "bigint", "generation": "int"}, keys)
    rows = execute(
        f"SELECT {LETTER_COLUMNS} FROM {LETTER_TABLES} JOIN {table} "
        "ON batch.ref = dead_letter.ref AND batch.generation = dead_letter.generation "
        f"WHERE +book.state = {BookState.DEAD} AND book.generation = dead_letter.generation",
        params,
    )
    letters = [dead_letter(row) for row in rows]
    return {(each.ref, each.generation, each.key): each for each in letters}


def _get(letter_id: int) -> DeadLetter | None:
    rows = execute(f"SELECT {LETTER_COLUMNS} FROM {LETTER_TABLES} WHERE dead_letter.id = ?", [letter_id])
    return dead_letter(rows[0]) if rows else None


def _filters(**given: Any) -> list[tuple[str, Any]]:
    conditions = {
        "reason": "dead_letter.reason = ?",
        "source": "source.name = ?",
        "since": "dead_letter.dead_at >= ?",
        "until": "dead_letter.dead_at < ?",
        "email": "book.id IN (SELECT id FROM book WHERE source IN (SELECT id FROM source) AND key = ?)",
    }
    return [(conditions[name], value) for name, value in given.items() if value is not None]


def _page(before: int | None, limit: int, filters: list[tuple[str, Any]]) -> tuple[list[DeadLetter], int | None]:
    where, values = _standing_where(before, filters)
    rows = execute(
        f"SELECT {LETTER_COLUMNS} FROM {LETTER_TABLES} WHERE {where} ORDER BY dead_letter.id DESC LIMIT ?",
        [*values, limit + 1],
    )
    return one_page([dead_letter(row) for row in rows], limit)


def _standing_where(before: int | None, filters: list[tuple[str, Any]]) -> tuple[str, list[Any]]:
    wanted = [*filters, *([("dead_letter.id < ?", before)] if before is not None else [])]
    where = " AND ".join([f"dead_letter.state = {LetterState.DEAD}", *(condition for condition, _ in wanted)])
    return where, [value for _, value in wanted]


def _count(before: int | None, filters: list[tuple[str, Any]]) -> int:
    where, values = _standing_where(before, filters)
    return int(execute(f"SELECT COUNT(*) FROM {LETTER_TABLES} WHERE {where}", values)[0][0])


def _newest() -> int:
    return int(execute("SELECT COALESCE(MAX(id), 0) FROM dead_letter")[0][0])


def _groups(source: str | None) -> list[DeadLetterGroup]:
    of_source = "" if source is None else " AND source = (SELECT id FROM source WHERE name = ?)"
    rows = execute(
        "SELECT grouped.reason, newest.error, grouped.number, grouped.oldest, grouped.newest, newest.id FROM "
        "(SELECT reason, COUNT(*) AS number, MIN(dead_at) AS oldest, MAX(dead_at) AS newest, MAX(id) AS last "
        f"FROM dead_letter WHERE state = {LetterState.DEAD}{of_source} GROUP BY reason) AS grouped "
        "JOIN dead_letter AS newest ON newest.id = grouped.last ORDER BY grouped.number DESC, grouped.reason",
        [] if source is None else [source],
    )
    return [DeadLetterGroup(*row) for row in rows]


def _lives(ref: int) -> list[DeadLetter]:
    sql = f"SELECT {LETTER_COLUMNS} FROM {LETTER_TABLES} WHERE dead_letter.ref = ? ORDER BY dead_letter.generation"
    return [dead_letter(row) for row in execute(sql, [ref])]


def _attempts_of(ref: int, generation: int) -> list[Attempt]:
    rows = execute(
        "SELECT source.name, book.key, attempt.ref, attempt.generation, attempt.attempt - 1, attempt.reason, "
        "attempt.error, attempt.at, attempt.next_at, attempt.processor_id FROM attempt "
        "JOIN book ON book.id = attempt.ref JOIN source ON source.id = book.source "
        "WHERE attempt.ref = ? AND attempt.generation = ? ORDER BY attempt.attempt",
        [ref, generation],
    )
    return [Attempt(*row) for row in rows]


def _standing(ids: Sequence[int]) -> list[tuple[Any, ...]]:
    """Return (letter id, ref, generation, source id) of those letters that still stand."""
    table, params = batch({"id": "bigint"}, [(letter_id,) for letter_id in sorted(set(ids))])
    return execute(
        "SELECT dead_letter.id, book.id, book.generation, book.source FROM dead_letter "
        f"JOIN book ON book.id = dead_letter.ref WHERE dead_letter.id IN (SELECT batch.id FROM {table}) "
        f"AND +book.state = {BookState.DEAD} AND book.generation = dead_letter.generation ORDER BY book.id",
        params,
    )


def _replay(ids: Sequence[int], lane: int, shard: str, also: Callable[[int], None] | None) -> int:
    opened = _open_again(ids, lane, shard) if ids else 0
    if also is not None:
        also(opened)
    return opened


def _open_again(ids: Sequence[int], lane: int, shard: str) -> int:
    standing = _standing(ids)
    if not standing:
        return 0
    numbers = draw_for([(ref, source) for _, ref, _, source in standing])
    rows = [(ref, generation, numbers[ref]) for _, ref, generation, _ in standing]
    table, params = batch({"ref": "bigint", "generation": "int", "seq": "bigint"}, rows)
    opened = execute(
        f"UPDATE book SET state = {BookState.OPEN}, generation = book.generation + 1, attempts = 0, next_attempt_at = NULL, "
        f"first_missing_at = NULL, last_error = NULL, lane = ?, feed_seq = batch.seq FROM {table} "
        f"WHERE book.id = batch.ref AND +book.state = {BookState.DEAD} AND book.generation = batch.generation RETURNING book.id",
        [lane, *params],
    )
    refs = {ref for (ref,) in opened}
    _settle([letter for letter, ref, _, _ in standing if ref in refs], LetterState.REPLAYED, shard)
    return len(refs)


def _discard(letter_id: int, shard: str) -> bool:
    for _, ref, generation, _ in _standing([letter_id]):
        given_up = execute(
            f"UPDATE book SET state = {BookState.DISCARDED} WHERE id = ? AND state = {BookState.DEAD} AND generation = ? RETURNING id",
            [ref, generation],
        )
        if given_up:
            _settle([letter_id], LetterState.DISCARDED, shard)
            return True
    return False


def _settle(letters: Sequence[int], state: LetterState, shard: str) -> None:
    """Set the state of the letters and update the counters."""
    table, params = batch({"id": "bigint"}, [(letter_id,) for letter_id in letters])
    execute(
        f"UPDATE dead_letter SET state = ? WHERE id IN (SELECT batch.id FROM {table})",
        [state.value, *params],
    )
    moves = Moves()
    moves.add("dead", -len(letters))
    if state is LetterState.DISCARDED:
        moves.add("discarded", len(letters))
    moves.apply(shard)
