"""`/subscriptions`: a URL gets the messages of the event log, signed, in order, from any place on.

Handlers of web/routes.py's table; actors/subscriber.py delivers. The egress rules check each URL here, and again at
each connection.
"""

import secrets
import time
from typing import Any

import msgspec

from actors.posting import Poster
from engine import clock
from engine.timestamps import timestamp
from fakemail.egress import EgressRefused
from fakemail.signature import key_of, new_secret
from storage.subscriptions import Subscription, Subscriptions, TooManyError, Try
from web.dispatch import Answer, Call, page_answer
from web.events import BEGINNING, FROM_THE_OLDEST, forgotten
from web.problems import Problem, misfit
from web.validation import make_cursor, read_cursor, read_number


def all_subscriptions(call: Call) -> dict[str, Any]:
    """Return all subscriptions, oldest first, with the place that each has reached."""
    return {"items": [_item(each) for each in _store(call).all()]}


def subscribe(call: Call) -> Answer:
    """Send events to a URL, from now on or from `after` on. Only this answer shows the secret: keep it.

    Each message is POSTed as `/events` shows it, in order, one after another, signed by Standard Webhooks
    (`webhook-id`, `webhook-timestamp`, `webhook-signature`). Any 2xx acknowledges it; otherwise it is retried with
    growing pauses and the same `webhook-id`. After a day of failures the subscription is disabled; a 410 disables it at
    once. A message may arrive twice, and none is left out; if the log does not reach back far enough, a message of type
    `gap` says so.
    """
    asked = call.body
    _check_url(call, asked.url)
    _check_secret(asked.secret)
    made = Subscription(
        id=0,
        url=asked.url,
        secret=asked.secret or new_secret(),
        description=asked.description,
        events=tuple(dict.fromkeys(asked.events)),
        backlog=asked.after is not None if asked.backlog is None else asked.backlog,
        position=_place(call, asked.after),
        state="active",
        reason=None,
        failures=0,
        failing_since=None,
        next_attempt_at=None,
        delivered=0,
        delivered_at=None,
        created_at=time.time(),
    )
    try:
        kept = _store(call).create(made)
    except TooManyError as error:
        raise Problem(409, str(error)) from None
    return Answer({**_item(kept), "secret": kept.secret}, 201, headers=(("Location", f"/subscriptions/{kept.id}"),))


def one_subscription(call: Call, subscription_id: str) -> dict[str, Any]:
    """Return one subscription."""
    return _item(_found(call, subscription_id))


def unsubscribe(call: Call, subscription_id: str) -> Answer:
    """Delete a subscription; it gets no more messages."""
    if not _store(call).delete(read_number(subscription_id)):
        raise Problem(404, "there is no such subscription")
    return Answer(None, 204)


def enable(call: Call, subscription_id: str) -> dict[str, Any]:
    """Enable a disabled subscription, or retry a failing one now; it goes on where it stopped, or from `after` on."""
    found = _found(call, subscription_id)
    after = None if call.body.after is None else _place(call, call.body.after)
    return _item(_known(_store(call).enable(found.id, after)))


def rotate(call: Call, subscription_id: str) -> dict[str, Any]:
    """Give a subscription a new secret, which only this answer shows. For `grace_s` seconds the old one signs too.

    The header `webhook-signature` then has two signatures, separated by a space; a receiver accepts a message if either
    matches. Messages of the first two seconds may carry only the old one: accept both until then, even with `grace_s`
    0.
    """
    _check_secret(call.body.secret)
    secret, until = call.body.secret or new_secret(), clock.now() + call.body.grace_s
    rotated = _known(_store(call).rotate(_found(call, subscription_id).id, secret, until))
    return {**_item(rotated), "secret": secret}


def test_message(call: Call, subscription_id: str) -> dict[str, Any]:
    """Send a signed message of type `test` now and return the outcome; the subscription's place in the log stays."""
    found = _found(call, subscription_id)
    webhook_id = f"test_{secrets.token_hex(12)}"
    text = {"type": "test", "timestamp": timestamp(time.time()), "data": {"subscription": found.id}}
    poster = Poster(found.url, found.secrets, call.services.egress.resolve)
    posted = poster.post(webhook_id, msgspec.json.encode(text))
    poster.close()
    tried = Try(found.id, webhook_id, "test", None, 1, posted.at, posted.duration_ms, posted.status, posted.error)
    _store(call).note(tried)
    return {
        "webhook_id": webhook_id,
        "delivered": posted.error is None,
        "status": posted.status,
        "error": posted.error,
        "duration_ms": posted.duration_ms,
    }


def deliveries(call: Call, subscription_id: str) -> Answer:
    """Return what was sent to a subscription, newest first: each attempt with its answer."""
    found, query = _found(call, subscription_id), call.query
    before = read_cursor("deliveries", query.cursor)
    items, following = _store(call).deliveries(found.id, before, query.limit, failed=query.failed)
    shown = [
        {
            "id": each.id,
            "webhook_id": each.webhook_id,
            "event": each.event,
            "seq": each.seq,
            "attempt": each.attempt,
            "at": timestamp(each.at),
            "duration_ms": each.duration_ms,
            "status": each.status,
            "error": each.error,
        }
        for each in items
    ]
    return page_answer(call, shown, make_cursor("deliveries", following))


def _store(call: Call) -> Subscriptions:
    return Subscriptions(call.services.database)


def _found(call: Call, subscription_id: str) -> Subscription:
    return _known(_store(call).get(read_number(subscription_id)))


def _known(found: Subscription | None) -> Subscription:
    if found is None:
        raise Problem(404, "there is no such subscription")
    return found


def _check_secret(secret: str | None) -> None:
    try:
        key_of(secret or "")
    except ValueError as error:
        raise misfit("secret", str(error)) from None


def _check_url(call: Call, url: str) -> None:
    try:
        call.services.egress.check(url)
    except EgressRefused as refused:
        raise misfit("url", str(refused)) from None


def _place(call: Call, after: str | None) -> str:
    """Return where in the log a subscription begins; raises Problem 410 if the log does not reach back to it."""
    log = call.services.mailboxes
    if after is None:
        return log.log_bounds()[1]
    if after == BEGINNING:
        return FROM_THE_OLDEST
    page = log.read_log(after, count=1)
    if page.gap:
        raise forgotten(log, page.gap)
    return after


def _item(each: Subscription) -> dict[str, Any]:
    failing = each.state == "active" and each.failures > 0
    return {
        "id": each.id,
        "url": each.url,
        "description": each.description,
        "events": list(each.events),
        "backlog": each.backlog,
        "state": "failing" if failing else each.state,
        "reason": each.reason,
        "after": each.position,
        "delivered": each.delivered,
        "last_delivered_at": timestamp(each.delivered_at),
        "failures": each.failures,
        "failing_since": timestamp(each.failing_since),
        "next_attempt_at": timestamp(each.next_attempt_at),
        "created_at": timestamp(each.created_at),
        "old_secret_until": timestamp(each.old_secret_until) if len(each.secrets(clock.now())) > 1 else None,
    }
