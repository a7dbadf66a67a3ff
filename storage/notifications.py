"""The accepted notifications and the look that each led to.

The lister records them after the look that a batch of them requested; GET /notifications shows them (reading.py), and
retention.py keeps them for KEEP_NOTIFICATIONS_DAYS.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.unicode import storable
from storage.database import Database
from storage.models import NotificationRow
from storage.records import Notification
from storage.rows import one_page
from storage.statements import execute, insert

FIELDS = ("source", "received_at", "history_id", "webhook_id", "outcome", "look")

MAX_BIGINT = 2**63 - 1


class NotedNotification(msgspec.Struct, frozen=True):
    """A notification as shown to users. `new` is the number of new emails that its look found."""

    id: int
    source: str
    received_at: float
    history_id: int
    webhook_id: str | None
    outcome: str
    look: int | None
    new: int


class Notifications:
    """The notifications of all sources."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def note(self, source_id: int, notifications: Sequence[Notification]) -> None:
        """Record a batch of notifications. Repeating the call after a lost answer adds no duplicates."""
        if notifications:
            self._db.write(_note, source_id, notifications)


def _note(source_id: int, notifications: Sequence[Notification]) -> None:
    noted = _noted(source_id, notifications)
    rows = [_values(source_id, each) for each in notifications if (each.webhook_id, each.received_at) not in noted]
    insert(NotificationRow, FIELDS, rows)


def _values(source_id: int, each: Notification) -> tuple[Any, ...]:
    webhook_id = None if each.webhook_id is None else storable(each.webhook_id)
    history_id = min(each.history_id, MAX_BIGINT)
    return source_id, float(each.received_at), history_id, webhook_id, storable(each.outcome), each.look


def _noted(source_id: int, notifications: Sequence[Notification]) -> set[tuple[str | None, float]]:
    """Return (webhook id, time) of the rows that an earlier commit of this batch may have written."""
    times = [each.received_at for each in notifications]
    rows = execute(
        "SELECT webhook_id, received_at FROM notification WHERE source = ? AND received_at >= ? AND received_at <= ?",
        [source_id, min(times), max(times)],
    )
    return {(webhook_id, received_at) for webhook_id, received_at in rows}


def page_of(before: int | None, limit: int, source: str | None) -> tuple[list[NotedNotification], int | None]:
    """Return the notifications with ids below `before`, newest first, and the next page's `before`, if any.

    Call this inside a transaction.
    """
    wanted = [("notification.id < ?", before), ("source.name = ?", source)]
    given = [(condition, value) for condition, value in wanted if value is not None]
    where = " AND ".join(["1 = 1", *(condition for condition, _ in given)])
    rows = execute(
        "SELECT notification.id, source.name, notification.received_at, notification.history_id, "
        "notification.webhook_id, notification.outcome, notification.look, COALESCE(look.new_ids, 0) "
        "FROM notification JOIN source ON source.id = notification.source LEFT JOIN look ON look.id = notification.look "
        f"WHERE {where} ORDER BY notification.id DESC LIMIT ?",
        [*(value for _, value in given), limit + 1],
    )
    return one_page([NotedNotification(*row) for row in rows], limit)


def emails_of(look: int, limit: int) -> list[str]:
    """Return the keys of the new emails of a look, oldest first. Call this inside a transaction."""
    rows = execute(
        "SELECT book.key FROM look JOIN book ON book.id >= look.first_ref AND book.id <= look.last_ref "
        "AND book.look = look.id WHERE look.id = ? ORDER BY book.id LIMIT ?",
        [look, limit],
    )
    return [key for (key,) in rows]
