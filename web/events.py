"""`/events` and `/ws/emails/{id}`: the event log, page by page, or live over a WebSocket (web/live_client.py).

Handlers of web/routes.py's table. The mailbox store (engine/mailbox.py) keeps the log; a place in it is a `seq`.
"""

import time
from typing import Any

import orjson

from actors.events import message
from engine.mailbox import MailboxStore
from web.dispatch import Answer, Call
from web.problems import Problem

LOOK_AGAIN_S = 1.0
LONGEST_WAIT_S = 30.0
"""A client that asks for a longer wait waits this long."""

BEGINNING = "beginning"
"""A client's name for the oldest place in the log."""

FROM_THE_OLDEST = ""
"""A place that no log has; reading from it returns the oldest events."""


def events(call: Call) -> dict[str, Any]:
    """Return a page of the event log, oldest first, from after `after` on: the same messages that the WebSocket sends.

    410 if the log no longer reaches back to `after`.
    """
    mailboxes, query = call.services.mailboxes, call.query
    after = FROM_THE_OLDEST if query.after in (None, BEGINNING) else query.after
    deadline = time.monotonic() + min(query.wait, LONGEST_WAIT_S)
    page = mailboxes.read_log(after, count=query.limit)
    hub = call.services.hub
    while not page.entries and not page.gap and (left := deadline - time.monotonic()) > 0 and not hub.ending:
        hub.wait_for_news(min(left, LOOK_AGAIN_S))
        page = mailboxes.read_log(after, count=query.limit)
    if page.gap and after != FROM_THE_OLDEST:
        raise forgotten(mailboxes, page.gap)
    items = [orjson.loads(message(entry)) for entry in page.entries]
    if query.source is not None:
        items = [item for item in items if item["data"].get("source") == query.source]
    return {"items": items, "next_after": page.last or None}


def forgotten(log: MailboxStore, gap: str) -> Problem:
    """Return the 410 for a place that the log does not reach back to, with the oldest and newest place that it has."""
    oldest, newest = log.log_bounds()
    return Problem(410, f"the log does not go back to this seq: {gap}", reason=gap, oldest=oldest, newest=newest)


def events_socket(_call: Call, client_id: str) -> Answer:  # noqa: ARG001  (the path's, any name will do)
    """Open a WebSocket for real-time updates.

    The server sends `email_event` messages; the client sends commands such as `{"command": "ping"}`, `{"command":
    "fetch_stats"}` and `{"command": "subscribe", "topic": "email:process", "since": SEQ}`.
    """
    headers = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
    raise Problem(426, "this is a WebSocket endpoint: send an Upgrade request", headers=headers)
