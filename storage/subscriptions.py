"""Outgoing webhooks: the subscriptions with their positions in the event log, and the log of delivery tries.

web/subscriptions.py creates and shows them, actors/subscriber.py delivers. A position moves only if it still has the
value that the caller read, so that two processes that serve one subscription cannot undo each other's moves: the later
one gets a StaleError.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from engine.errors import StaleError
from engine.unicode import storable
from storage import meta
from storage.database import Database
from storage.keys import shown_key
from storage.rows import one_page
from storage.statements import batch, encode_json, execute, insert
from storage.subscription_tables import DeliveryRow, SubscriptionRow

MOST = 100
DELIVERIES_KEPT = 500
MAX_ERROR = 300

FIELDS = (
    "url", "secret", "description", "events", "backlog", "position", "state", "reason", "failures", "failing_since",
    "next_attempt_at", "delivered", "delivered_at", "created_at", "old_secret", "old_secret_until",
)  # fmt: skip
DELIVERY_FIELDS = ("subscription", "webhook_id", "event", "seq", "attempt", "at", "duration_ms", "status", "error")


class Subscription(msgspec.Struct, frozen=True):
    """One subscription; see SubscriptionRow."""

    id: int
    url: str
    secret: str
    description: str
    events: tuple[str, ...]
    backlog: bool  # deliver emails of the first sync, too
    position: str
    state: str
    reason: str | None
    failures: int
    failing_since: float | None
    next_attempt_at: float | None
    delivered: int
    delivered_at: float | None
    created_at: float
    old_secret: str | None = None
    old_secret_until: float | None = None

    def secrets(self, now: float) -> tuple[str, ...]:
        """Return the secrets that sign now: the current one and, during a rotation, the old one."""
        old = self.old_secret if now < (self.old_secret_until or 0.0) else None
        return (self.secret, old) if old else (self.secret,)


class Try(msgspec.Struct, frozen=True):
    """One delivery try. `error` is None if it was accepted, `status` is None if no answer came."""

    subscription: int
    webhook_id: str
    event: str
    seq: str | None
    attempt: int
    at: float
    duration_ms: float
    status: int | None
    error: str | None
    id: int = 0


class Failure(msgspec.Struct, frozen=True):
    """The effect of a failed try on its subscription: when to try again, or why it is disabled."""

    failures: int
    since: float
    next_attempt_at: float | None
    disabled: str | None = None


class TooManyError(ValueError):
    """There are MOST subscriptions already."""


class Subscriptions:
    """The subscriptions of one system."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def create(self, made: Subscription) -> Subscription:
        """Store a new subscription and return it with its id; raises TooManyError beyond MOST."""
        return self._db.write(_create, made)

    def all(self) -> list[Subscription]:
        """Return all subscriptions, oldest first."""
        return self._db.read(_all)

    def get(self, subscription_id: int) -> Subscription | None:
        """Return one subscription, or None."""
        return self._db.read(_get, subscription_id)

    def delete(self, subscription_id: int) -> bool:
        """Delete a subscription with its deliveries; return False if there is none."""
        return self._db.write(_delete, subscription_id)

    def enable(self, subscription_id: int, position: str | None = None) -> Subscription | None:
        """Re-enable a subscription, or end its wait for the next try; return None if there is none.

        It resumes from its position unless another one is given.
        """
        return self._db.write(_enable, subscription_id, position)

    def rotate(self, subscription_id: int, secret: str, until: float) -> Subscription | None:
        """Sign with this secret from now on, and also with the old one until `until`; return None if there is none."""
        return self._db.write(_rotate, subscription_id, secret, until)

    def advance(self, subscription: Subscription, to: str, taken: Sequence[Try]) -> Subscription:
        """Move the position to `to` and log the accepted tries.

        Raises StaleError if the subscription was moved, disabled or deleted in the meantime.
        """
        return self._db.write(_advance, subscription, to, taken)

    def fail(self, subscription: Subscription, failure: Failure, tried: Try) -> Subscription:
        """Record a failed try; raises StaleError like `advance`."""
        return self._db.write(_fail, subscription, failure, tried)

    def note(self, delivery: Try) -> None:
        """Log a try that does not move the position: that of a test message."""
        self._db.write(_log, [delivery])

    def deliveries(
        self, subscription_id: int, before: int | None = None, limit: int = 20, *, failed: bool = False
    ) -> tuple[list[Try], int | None]:
        """Return the tries with ids below `before`, newest first, and the next page's `before`, if any."""
        return self._db.read(_deliveries, subscription_id, before, limit, failed)

    def of_first_sync(self, emails: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return those of the (source, email id) pairs that the first sync of their source listed."""
        wanted = sorted(set(emails))
        return self._db.read(_of_first_sync, wanted) if wanted else set()


def _create(made: Subscription) -> Subscription:
    if execute("SELECT COUNT(*) FROM subscription")[0][0] >= MOST:
        raise TooManyError(f"there are already {MOST} subscriptions, which is the limit")
    values = {**msgspec.structs.asdict(made), "events": encode_json(made.events).decode()}
    values["description"] = storable(made.description)
    # Ids are never reused: a process that still serves a deleted subscription must not mistake a new one for it.
    made = msgspec.structs.replace(made, id=meta.count_up("subscriptions"))
    insert(SubscriptionRow, ("id", *FIELDS), [(made.id, *(values[name] for name in FIELDS))])
    return made


def _all() -> list[Subscription]:
    return [_subscription(row) for row in execute(f"SELECT id, {', '.join(FIELDS)} FROM subscription ORDER BY id")]


def _get(subscription_id: int) -> Subscription | None:
    rows = execute(f"SELECT id, {', '.join(FIELDS)} FROM subscription WHERE id = ?", [subscription_id])
    return _subscription(rows[0]) if rows else None


def _delete(subscription_id: int) -> bool:
    execute("DELETE FROM delivery WHERE subscription = ?", [subscription_id])
    return bool(execute("DELETE FROM subscription WHERE id = ? RETURNING id", [subscription_id]))


def _enable(subscription_id: int, position: str | None) -> Subscription | None:
    execute(
        "UPDATE subscription SET state = 'active', reason = NULL, failures = 0, failing_since = NULL, "
        "next_attempt_at = NULL, position = COALESCE(?, position) WHERE id = ?",
        [position, subscription_id],
    )
    return _get(subscription_id)


def _rotate(subscription_id: int, secret: str, until: float) -> Subscription | None:
    execute(
        "UPDATE subscription SET old_secret = secret, old_secret_until = ?, secret = ? WHERE id = ?",
        [until, secret, subscription_id],
    )
    return _get(subscription_id)


def _advance(seen: Subscription, to: str, taken: Sequence[Try]) -> Subscription:
    _guarded(
        "position = ?, delivered = delivered + ?, delivered_at = COALESCE(?, delivered_at), failures = 0, "
        "failing_since = NULL, next_attempt_at = NULL",
        [to, len(taken), taken[-1].at if taken else None],
        seen,
    )
    _log(taken)
    return _now(seen.id)


def _fail(seen: Subscription, failure: Failure, tried: Try) -> Subscription:
    _guarded(
        "failures = ?, failing_since = ?, next_attempt_at = ?, reason = ?, state = ?",
        [
            failure.failures,
            failure.since,
            failure.next_attempt_at,
            failure.disabled,
            "disabled" if failure.disabled else "active",
        ],
        seen,
    )
    _log([tried])
    return _now(seen.id)


def _guarded(change: str, values: list[Any], seen: Subscription) -> None:
    changed = execute(
        f"UPDATE subscription SET {change} WHERE id = ? AND position = ? AND state = 'active' RETURNING id",
        [*values, seen.id, seen.position],
    )
    if not changed:
        raise StaleError(f"subscription {seen.id} was moved, disabled or deleted meanwhile")


def _now(subscription_id: int) -> Subscription:
    found = _get(subscription_id)
    assert found is not None
    return found


def _log(tries: Sequence[Try]) -> None:
    if not tries:
        return
    rows = [
        tuple(storable(value[:MAX_ERROR]) if isinstance(value, str) else value for value in _delivery_values(each))
        for each in tries
    ]
    insert(DeliveryRow, DELIVERY_FIELDS, rows)
    for subscription_id in {each.subscription for each in tries}:
        execute(
            "DELETE FROM delivery WHERE subscription = ? AND id <= (SELECT id FROM delivery WHERE subscription = ? "
            "ORDER BY id DESC LIMIT 1 OFFSET ?)",
            [subscription_id, subscription_id, DELIVERIES_KEPT],
        )


def _delivery_values(each: Try) -> tuple[Any, ...]:
    return tuple(getattr(each, name) for name in DELIVERY_FIELDS)


def _deliveries(subscription_id: int, before: int | None, limit: int, failed: bool) -> tuple[list[Try], int | None]:
    only = " AND error IS NOT NULL" if failed else ""
    rows = execute(
        f"SELECT {', '.join(DELIVERY_FIELDS)}, id FROM delivery WHERE subscription = ? AND id < ?{only} "
        "ORDER BY id DESC LIMIT ?",
        [subscription_id, 2**62 if before is None else before, limit + 1],
    )
    return one_page([Try(*row) for row in rows], limit)


def _of_first_sync(emails: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    ids = {(source, shown_key(email_id)): (source, email_id) for source, email_id in emails}
    table, params = batch({"source": "text", "key": "text"}, list(ids))
    rows = execute(
        f"SELECT source.name, book.key FROM {table} JOIN source ON source.name = batch.source "
        "JOIN book ON book.source = source.id AND book.key = batch.key JOIN look ON look.id = book.look "
        "WHERE look.kind = 'start'",
        params,
    )
    return {ids[source, key] for source, key in rows}


def _subscription(row: tuple[Any, ...]) -> Subscription:
    values = dict(zip(("id", *FIELDS), row, strict=True))
    events = msgspec.json.decode(values["events"], type=tuple[str, ...])
    return Subscription(**{**values, "events": events, "backlog": bool(values["backlog"])})
