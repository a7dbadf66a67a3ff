"""The rows of the sources: the cursor, the floor from which polls list, and the entering of listed ids.

Called by Books inside its transactions. The cursor moves in the same transaction that enters the last ids below it,
guarded by its previous value. The recent cursors, stored with their times, show up to where the history has been listed
twice, so that the floor can rise.
"""

from collections.abc import Callable, Sequence

import msgspec

from engine import clock
from engine.errors import SettingsError, StaleError
from engine.mailbox import LANES, MAIN
from storage import desired
from storage.counters import Moves
from storage.feeding import draw
from storage.keys import MAX_KEY_BYTES, email_key, escape_id, is_hashed
from storage.models import BookRow, DeadLetterRow, LookRow
from storage.records import BookState, CursorMove, LetterState, Look, Skipped, SourceState
from storage.rows import LETTER_FIELDS
from storage.statements import batch, encode_json, execute, for_update, insert

COLUMNS = "id, name, url, epoch, cursor, cursor_key, floor, listed"

RECENT_GAP = 5.0
"""Seconds between two stored cursors: finer steps would not let the floor rise much earlier."""

RECENT_LIMIT = 64

NEWEST = 10_000
SKIPPED = "skipped:"

Recent = list[tuple[int, float]]


def open_source(name: str, url: str) -> SourceState:
    """Return the source, creating it if needed; raises SettingsError if it is bound to another URL."""
    recent = _encode([(0, clock.now())])
    execute(
        "INSERT INTO source (name, url, epoch, cursor, floor, recent, listed, feed_seq) VALUES (?, ?, 0, 0, 0, ?, 0, 0) "
        "ON CONFLICT (name) DO NOTHING",
        [name, url, recent],
    )
    state = find(name)
    if state.url != url:
        setting = "FAKEMAIL_API_URL" if name == MAIN else "FAKEMAIL_SOURCES"
        raise SettingsError(
            f"{setting}: source {name} of this database belongs to {state.url}, not to {url}: "
            "set that URL again, or use another DATA_DIR (or DATABASE_URL)"
        )
    return state


def all_sources() -> list[SourceState]:
    """Return all sources in the order of their creation."""
    return [SourceState(*row) for row in execute(f"SELECT {COLUMNS} FROM source ORDER BY id")]


def find(name: str) -> SourceState:
    """Return one source; raises LookupError if there is none of that name."""
    rows = execute(f"SELECT {COLUMNS} FROM source WHERE name = ?", [name])
    if not rows:
        raise LookupError(f"no source is called {name}")
    return SourceState(*rows[0])


def known(source_id: int, keys: Sequence[str]) -> set[str]:
    """Return those of the keys that are in the books."""
    table, params = batch({"key": "text"}, [(key,) for key in keys])
    rows = execute(
        f"SELECT key FROM book WHERE source = ? AND key IN (SELECT batch.key FROM {table})", [source_id, *params]
    )
    return {key for (key,) in rows}


def enter(
    source_id: int,
    ids: Sequence[str],
    look: Look,
    *,
    lane: str,
    move: CursorMove | None,
    also: Callable[[int], None] | None,
    shard: str,
) -> tuple[int, list[tuple[int, str]]]:
    """Enter the new ids and move the cursor; return the id of the look's row and the new open rows as (ref, key).

    The feed numbers are drawn first: that locks the source's row, so that no other transaction enters ids between our
    check of what is known and our commit.
    """
    keys = {email_key(email_id): email_id for email_id in ids}
    numbers = draw(source_id, len(keys))
    if move is not None:
        _move_cursor(source_id, move)
    have = known(source_id, list(keys))
    new = [key for key in keys if key not in have]
    if also is not None:
        also(len(new))
    if not new:
        return look.id, []
    look_id = _write_look(source_id, look, len(new))
    refs = _insert(source_id, new, numbers, LANES.index(lane), look_id)
    execute("UPDATE source SET listed = listed + ? WHERE id = ?", [len(refs), source_id])
    _span_look(look_id, [ref for ref, _ in refs])
    _bury_too_long(source_id, [(ref, key) for ref, key in refs if is_hashed(key)], keys, shard)
    return look_id, [(ref, key) for ref, key in refs if not is_hashed(key)]


def _insert(source_id: int, keys: Sequence[str], numbers: range, lane: int, look_id: int) -> list[tuple[int, str]]:
    now, state = clock.now(), BookState.OPEN.value
    rows = [(source_id, key, state, 0, lane, seq, 0, look_id, now) for key, seq in zip(keys, numbers, strict=False)]
    columns = ("source", "key", "state", "generation", "lane", "feed_seq", "attempts", "look", "listed_at")
    return insert(BookRow, columns, rows, "ON CONFLICT (source, key) DO NOTHING RETURNING id, key")


def _write_look(source_id: int, look: Look, new: int) -> int:
    """Insert the look's row with the first slice that has new ids, and add later slices to it."""
    if look.id:
        execute("UPDATE look SET listed = ?, new_ids = new_ids + ? WHERE id = ?", [look.listed, new, look.id])
        return look.id
    row = (source_id, look.kind, look.began, look.notified_at, look.history_id, look.listed, new)
    columns = ("source", "kind", "began", "notified_at", "history_id", "listed", "new_ids")
    return int(insert(LookRow, columns, [row], "RETURNING id")[0][0])


def _span_look(look_id: int, refs: Sequence[int]) -> None:
    """Record the range of refs of a look's emails, so that no separate index is needed to find them."""
    sql = "UPDATE look SET first_ref = COALESCE(first_ref, ?), last_ref = ? WHERE id = ?"
    execute(sql, [min(refs), max(refs), look_id])


def _bury_too_long(source_id: int, rows: list[tuple[int, str]], ids: dict[str, str], shard: str) -> None:
    """Make dead letters of ids that are too long for a key: they were listed, so the books must account for them."""
    if not rows:
        return
    table, params = batch({"ref": "bigint"}, [(ref,) for ref, _ in rows])
    execute(f"UPDATE book SET state = {BookState.DEAD} WHERE id IN (SELECT ref FROM {table})", params)
    now, state = clock.now(), LetterState.DEAD.value
    letters = [
        (ref, 0, source_id, state, "invalid_email", _too_long(ids[key]), 0, now, now, "lister", "{}")
        for ref, key in rows
    ]
    insert(DeadLetterRow, LETTER_FIELDS, letters)
    moves = Moves()
    moves.add("dead", len(rows))
    moves.add("errors", len(rows))
    moves.apply(shard)


def _too_long(email_id: str) -> str:
    size = len(escape_id(email_id).encode())
    return f"the id has {size} bytes, more than {MAX_KEY_BYTES}; it begins with {escape_id(email_id)[:64]}"


def _move_cursor(source_id: int, move: CursorMove) -> None:
    """Move the cursor if it has the expected value; accept a move that was made already (its answer was lost)."""
    rows = execute("SELECT epoch, cursor, cursor_key, recent FROM source WHERE id = ?", [source_id])
    epoch, cursor, key, recent = rows[0]
    if (epoch, cursor, key) == (move.epoch, move.to, move.key):
        return
    if (epoch, cursor) != (move.epoch, move.expected):
        raise StaleError(f"the cursor stands at {cursor} of epoch {epoch}, not at {move.expected} of {move.epoch}")
    execute(
        "UPDATE source SET cursor = ?, cursor_key = ?, recent = ? WHERE id = ?",
        [move.to, move.key, _encode(_remember(_decode(recent), move.to, clock.now())), source_id],
    )


def _remember(recent: Recent, cursor: int, now: float) -> Recent:
    """Add a cursor to the recent ones, which are kept at least RECENT_GAP apart; the newest is always the last."""
    kept = recent[:-1] if len(recent) > 1 and recent[-1][1] - recent[-2][1] < RECENT_GAP else recent
    if len(kept) >= RECENT_LIMIT:
        kept = kept[::2]
    return [*kept, (cursor, now)]


def finish_poll(source: SourceState, began: float, overlap: float) -> SourceState:
    """Raise the floor to the newest cursor that was reached at least `overlap` seconds before this poll began."""
    rows = execute(f"SELECT epoch, floor, recent FROM source WHERE id = ? {for_update()}", [source.id])
    epoch, floor, recent = rows[0][0], rows[0][1], _decode(rows[0][2])
    if epoch != source.epoch:
        raise StaleError(f"source {source.name} is in epoch {epoch}, the poll was of {source.epoch}")
    passed = [place for place, (_, at) in enumerate(recent) if at + overlap <= began]
    if passed and recent[passed[-1]][0] > floor:
        kept = recent[passed[-1] :]
        execute("UPDATE source SET floor = ?, recent = ? WHERE id = ?", [kept[0][0], _encode(kept), source.id])
    return find(source.name)


def reset(source: SourceState, to: int = 0) -> SourceState:
    """Restart from a history id in a new epoch; another process's reset of the same epoch counts as this one."""
    execute(
        "UPDATE source SET epoch = epoch + 1, cursor = ?, cursor_key = NULL, floor = ?, recent = ? "
        "WHERE id = ? AND epoch = ?",
        [to, to, _encode([(to, clock.now())]), source.id, source.epoch],
    )
    state = find(source.name)
    if state.epoch != source.epoch + 1:
        raise StaleError(f"source {source.name} is in epoch {state.epoch}, the reset was of {source.epoch}")
    return state


def keys_before(source_id: int, key: str, limit: int) -> list[str]:
    """Return the keys that a source entered just before this one, latest first, without emails that failed for good.

    Only the NEWEST rows of all sources before it are searched.
    """
    rows = execute(
        "SELECT key FROM (SELECT id, source, key, state FROM book "
        "WHERE id < (SELECT id FROM book WHERE source = ? AND key = ?) "
        f"ORDER BY id DESC LIMIT {NEWEST}) AS newest WHERE source = ? AND state < {BookState.DEAD} ORDER BY id DESC LIMIT ?",
        [source_id, key, source_id, limit],
    )
    return [each for (each,) in rows if not is_hashed(each)]


def skipped(name: str) -> Skipped | None:
    """Return what `skip_to` skipped, or None if it was not called for this source or was given no emails."""
    found = desired.get(f"{SKIPPED}{name}")
    return msgspec.convert(found, Skipped) if isinstance(found, dict) else None


def skip_to(source: SourceState, history_id: int, left_alone: list[str], mark: str | None = None) -> SourceState:
    """Skip what the account holds up to `history_id`: cursor and floor both start there.

    If `mark` is set already, nothing changes: another leader has skipped, and newer mail may have come since. Raises
    StaleError if the source has moved on.
    """
    if mark is not None:
        execute(f"SELECT id FROM source WHERE id = ? {for_update()}", [source.id])  # waits for another skip to commit
        if desired.get(mark):
            return find(source.name)
    execute(
        "UPDATE source SET cursor = ?, cursor_key = NULL, floor = ?, recent = ? "
        "WHERE id = ? AND epoch = ? AND cursor = ?",
        [history_id, history_id, _encode([(history_id, clock.now())]), source.id, source.epoch, source.cursor],
    )
    state = find(source.name)
    if (state.epoch, state.cursor) != (source.epoch, history_id):
        raise StaleError(f"source {source.name} has moved on to {state.cursor} of epoch {state.epoch}")
    if left_alone:
        desired.put(f"{SKIPPED}{source.name}", Skipped(history_id, left_alone, source.epoch))
    if mark is not None:
        desired.put(mark, True)
    return state


def _encode(recent: Recent) -> str:
    return encode_json(recent).decode()


def _decode(recent: str) -> Recent:
    return msgspec.json.decode(recent, type=Recent)
