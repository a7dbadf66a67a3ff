"""Reads pages of emails and results, single emails and their timelines for the web and the dashboard.

Pages use keysets (never OFFSET) and are newest first: emails in the order of listing (`ref`), results in the order of
storing. Text filters use the full-text index (search.py), which sees an email a moment after it is stored; a page says
how far the index lags.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.unicode import storable
from storage import search
from storage.database import Database
from storage.notifications import NotedNotification, emails_of, page_of
from storage.query import Query, parse, tokens
from storage.records import DECIDERS, LABEL_NUMBER, BookState, StoredResult
from storage.rows import RESULT_COLUMNS, RESULT_TABLES, stored_result
from storage.statements import execute, is_postgres
from storage.timeline import Stage, timeline

STATE_CONDITIONS = {
    "queued": f"book.state = {BookState.OPEN} AND book.next_attempt_at IS NULL",
    "retrying": f"book.state = {BookState.OPEN} AND book.next_attempt_at IS NOT NULL",
    "processed": f"book.state = {BookState.RESULT}",
    "dead": f"book.state = {BookState.DEAD}",
    "discarded": f"book.state = {BookState.DISCARDED}",
    "erased": f"book.state = {BookState.ERASED}",
}

EMAIL_STATES = tuple(STATE_CONDITIONS)
"""The states that users see: an open row is `queued`, or `retrying` while it has a due time."""

TABLES = "book JOIN source ON source.id = book.source LEFT JOIN result ON result.ref = book.id LEFT JOIN content ON content.ref = book.id"
WALKED_TABLES = (
    "search CROSS JOIN book ON book.id = search.rowid CROSS JOIN source ON source.id = book.source "
    "LEFT JOIN result ON result.ref = book.id LEFT JOIN content ON content.ref = book.id"
)
EMAIL_COLUMNS = "book.id, source.name, book.key, book.state, book.listed_at, book.attempts, book.next_attempt_at, book.last_error, content.subject, content.sender"
EMAIL_WIDTH = 10
CONFIDENCE = "CASE WHEN result.decided_by > 0 THEN 1.0 ELSE result.confidence END"
"""The confidence as shown: 1.0 for labels from rules and people."""


OPERATORS = {each: each for each in ("<", "<=", ">", ">=")}
"""The operators that may be put into a statement. No other part of a query ever is."""


class EmailFilter(msgspec.Struct, frozen=True):
    """Which emails to show; None does not filter.

    `since` and `until` limit the time of listing for emails, of processing for results.
    """

    source: str | None = None
    state: str | None = None
    classification: str | None = None
    min_confidence: float | None = None
    max_confidence: float | None = None
    sender: str | None = None
    decided_by: str | None = None
    model_version: str | None = None
    rule_id: int | None = None
    since: float | None = None
    until: float | None = None
    q: str | None = None


class EmailItem(msgspec.Struct, frozen=True):
    """One email in a list, in any state."""

    ref: int
    source: str
    key: str
    state: str
    listed_at: float
    attempts: int
    next_attempt_at: float | None
    last_error: str | None
    subject: str
    sender: str
    result: StoredResult | None


class NotificationItem(NotedNotification, frozen=True, kw_only=True):
    """A notification, with the keys of the first emails that its look found."""

    keys: list[str]


class Page(msgspec.Struct, frozen=True):
    """One page. `next` is the next page's `before`, or None on the last page.

    `lag` is the number of emails missing from the full-text index, if the page used it.
    """

    items: list[Any]
    next: int | None = None
    lag: int | None = None


class Reader:
    """Reads pages and single emails from one database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def emails(self, wanted: EmailFilter, *, before: int | None = None, limit: int = 20) -> Page:
        """Return a page of emails, newest first in the order of listing."""
        return self._db.read(_emails, wanted, before, limit)

    def results(self, wanted: EmailFilter, *, before: int | None = None, limit: int = 20) -> Page:
        """Return a page of results, newest first in the order of storing."""
        return self._db.read(_results, wanted, before, limit)

    def email(self, ref: int) -> EmailItem | None:
        """Return one email, or None."""
        return self._db.read(_email, ref)

    def timeline(self, ref: int) -> list[Stage]:
        """Return every stage of one email, oldest first."""
        return self._db.read(timeline, ref)

    def notifications(self, *, source: str | None = None, before: int | None = None, limit: int = 20) -> Page:
        """Return a page of accepted notifications, newest first."""
        return self._db.read(_notifications, source, before, limit)


def _emails(wanted: EmailFilter, before: int | None, limit: int) -> Page:
    """Walk the index that has the rows in order and skips the fewest: that of the text, the results or the books."""
    query = _query(wanted)
    if search.has_terms(query) and not is_postgres():
        tables, place, text = WALKED_TABLES, "search.rowid", search.walk(query)
    elif wanted.classification is not None or query.labels or wanted.decided_by is not None:
        tables, place, text = RESULT_TABLES, "result.ref", None
    else:
        tables, place, text = TABLES, "book.id", None
    where, params, uses_text = conditions(wanted, place, "book.listed_at", before, text=text)
    sql = f"SELECT {EMAIL_COLUMNS}, {RESULT_COLUMNS} FROM {tables}{where} ORDER BY {place} DESC LIMIT ?"
    items = [_email_item(row) for row in execute(sql, [*params, limit + 1])]
    return _page(items, [item.ref for item in items], limit, uses_text)


def _results(wanted: EmailFilter, before: int | None, limit: int) -> Page:
    where, params, uses_text = conditions(wanted, "result.id", "result.processed_at", before)
    sql = f"SELECT {RESULT_COLUMNS} FROM {RESULT_TABLES}{where} ORDER BY result.id DESC LIMIT ?"
    items = [stored_result(row) for row in execute(sql, [*params, limit + 1])]
    return _page(items, [item.id for item in items], limit, uses_text)


def _email(ref: int) -> EmailItem | None:
    rows = execute(f"SELECT {EMAIL_COLUMNS}, {RESULT_COLUMNS} FROM {TABLES} WHERE book.id = ?", [ref])
    return _email_item(rows[0]) if rows else None


def _page(items: list[Any], places: Sequence[int], limit: int, uses_text: bool) -> Page:
    return Page(items[:limit], places[limit - 1] if len(items) > limit else None, search.lag() if uses_text else None)


def conditions(
    wanted: EmailFilter,
    place: str,
    time_column: str,
    before: int | None,
    *,
    text: tuple[str, list[Any]] | None = None,
) -> tuple[str, list[Any], bool]:
    """Return the WHERE clause, its parameters, and whether it uses the full-text index.

    `text` is the condition on the text if the query walks the full-text index itself. `+ 0` keeps the planner from
    using the index of a column that has nearly the same value everywhere, and then sorting all that it finds.
    """
    query = _query(wanted)
    chosen = [(f"{place} < ?", [before]), *_comparisons(wanted, query, time_column)]
    chosen = [part for part in chosen if part[1] != [None]]
    if wanted.decided_by is not None:
        decider = DECIDERS.index(wanted.decided_by)
        chosen.append((f"result.decided_by = {decider}", []))  # literal, for the partial index
    if wanted.state is not None:
        state = STATE_CONDITIONS[wanted.state]
        chosen.append((state if place == "book.id" else state.replace("book.state", "book.state + 0"), []))
    if query.hopeless:
        chosen.append(("1 = 0", []))
    if text is not None:
        chosen.append(text)
    else:
        texts, text_params = search.condition(query, "book.id")
        chosen += [(condition, [value]) for condition, value in zip(texts, text_params, strict=True)]
    sql = " AND ".join(condition for condition, _ in chosen)
    params = [value for _, values in chosen for value in values]
    return (f" WHERE {sql}" if sql else ""), params, query.has_text


def _comparisons(wanted: EmailFilter, query: Query, time_column: str) -> list[tuple[str, list[Any]]]:
    """Return the conditions that have one value each; the caller drops those whose value is None."""
    return [
        ("book.source + 0 = (SELECT id FROM source WHERE name = ?)", [_storable(wanted.source)]),
        ("result.label = ?", [None if wanted.classification is None else LABEL_NUMBER[wanted.classification]]),
        *(("result.label = ?", [LABEL_NUMBER[label]]) for label in query.labels),
        *(("COALESCE(result.label, -1) <> ?", [LABEL_NUMBER[label]]) for label in query.excluded_labels),
        ("result.model_version = ?", [_storable(wanted.model_version)]),
        ("result.rule_id = ?", [wanted.rule_id]),
        (f"{CONFIDENCE} >= ?", [wanted.min_confidence]),
        (f"{CONFIDENCE} <= ?", [wanted.max_confidence]),
        (f"{time_column} >= ?", [wanted.since]),
        (f"{time_column} <= ?", [wanted.until]),
        (f"{time_column} >= ?", [query.after]),
        (f"{time_column} < ?", [query.before]),
        *((f"{CONFIDENCE} {OPERATORS[bound.operator]} ?", [bound.value]) for bound in query.confidence),
    ]


def _query(wanted: EmailFilter) -> Query:
    """Parse `q` and put the filter's sender before its senders, since the search ignores the last of too many words."""
    query = parse(wanted.q or "")
    if not wanted.sender or not tokens(wanted.sender):
        return query
    return msgspec.structs.replace(query, senders=(wanted.sender, *query.senders))


def _storable(name: str | None) -> str | None:
    return None if name is None else storable(name)


def _email_item(row: tuple[Any, ...]) -> EmailItem:
    ref, source, key, state, listed_at, attempts, next_attempt_at, last_error, subject, sender = row[:EMAIL_WIDTH]
    result = row[EMAIL_WIDTH:]
    is_open = state == BookState.OPEN
    shown = ("retrying" if next_attempt_at is not None else "queued") if is_open else EMAIL_STATES[state + 1]
    return EmailItem(
        ref=ref,
        source=source,
        key=key,
        state=shown,
        listed_at=listed_at,
        attempts=attempts,
        next_attempt_at=next_attempt_at if is_open else None,
        last_error=last_error,
        subject=subject or "",
        sender=sender or "",
        result=stored_result(result) if state == BookState.RESULT and result[0] is not None else None,
    )


def _notifications(source: str | None, before: int | None, limit: int) -> Page:
    noted, following = page_of(before, limit, source)
    items = [NotificationItem(**msgspec.structs.asdict(each), keys=_first_keys(each.look)) for each in noted]
    return Page(items, following)


def _first_keys(look: int | None) -> list[str]:
    return [] if look is None else emails_of(look, limit=20)
