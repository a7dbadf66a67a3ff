"""`/events` and `/ws/emails/{id}`: the event log, read page by page, or played live over a WebSocket (web/live_client.py).

Handlers of web/routes.py's table. The log is kept by the mailbox store (engine/mailbox.py); a place in it is a `seq`.
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
"""Who asks to wait longer waits this long."""

BEGINNING = "beginning"
"""How a client names the oldest place that there is."""

FROM_THE_OLDEST = ""
"""No place in any log: it is answered with the oldest events that there are."""


def events(call: Call) -> dict[str, Any]:
    """The event log: the very messages that the WebSocket plays, oldest first, from after `after`."""
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
    """That the log does not go back to where somebody wants to begin, and how far it does."""
    oldest, newest = log.log_bounds()
    return Problem(410, f"the log does not go back to this seq: {gap}", reason=gap, oldest=oldest, newest=newest)


def events_socket(_call: Call, client_id: str) -> Answer:  # noqa: ARG001  (the path's, any name will do)
    """Real-time updates over a WebSocket.

    From the server come `email_event` messages, from the client commands such as `{"command": "ping"}`,
    `{"command": "subscribe", "topic": "email:process", "since": SEQ}` and `{"command": "fetch_stats"}`.
    """
    headers = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
    raise Problem(426, "this is a WebSocket: ask for an upgrade", headers=headers)
