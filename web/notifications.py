"""`GET /notifications`: the webhooks that were accepted, including those that still wait for a look.

The lister stores a notification after the look that it asked for (storage/notifications.py). Until then it is in the
source's mailbox only, and stays there as long as FakeMail is away or the system is paused.
"""

from typing import Any

from actors.bodies import LookBody, decode, look_mailbox
from actors.events import readable_id
from engine.errors import DependencyTrouble
from engine.mailbox import Envelope
from engine.timestamps import timestamp
from web.dispatch import Answer, Call, page_answer
from web.validation import make_cursor, read_cursor

PENDING = "pending"
MOST_PENDING = 100


def notifications(call: Call) -> Answer:
    """Return the webhooks that were accepted, and the emails that each led to.

    Those not looked at yet (`pending`) come first: at most 100, and at most a page of them.
    """
    query = call.query
    before = read_cursor("notifications", query.cursor)
    # read the mailboxes first: what is stored meanwhile is then in both places, not in neither
    waiting = _waiting(call) if before is None else []
    page = call.services.reader.notifications(before=before, limit=query.limit, source=query.source)
    noted = {(each.source, each.received_at) for each in page.items}
    pending = [each for each in waiting if (each.source, _received(each)) not in noted][: query.limit]
    shown = page.items[: query.limit - len(pending)]
    following = page.next if len(shown) == len(page.items) else page.items[len(shown)].id + 1
    items = [*map(_pending_item, pending), *map(_noted_item, shown)]
    return page_answer(call, items, make_cursor("notifications", following))


def _waiting(call: Call) -> list[Envelope]:
    """Return what is in the mailboxes of the requested sources, newest first; nothing while Redis is away."""
    mailboxes, source = call.services.mailboxes, call.query.source
    names = call.services.sources if source is None else [source]
    try:
        found = [each for name in names for each in mailboxes.peek(look_mailbox(name), MOST_PENDING)]
    except DependencyTrouble:
        return []
    return sorted(found, key=_received, reverse=True)[:MOST_PENDING]


def _received(envelope: Envelope) -> float:
    return envelope.times.get("received", 0.0)


def _pending_item(envelope: Envelope) -> dict[str, Any]:
    hint = decode(envelope.body, LookBody)
    return {
        "source": envelope.source,
        "received_at": timestamp(_received(envelope)),
        "history_id": hint.history_id,
        "webhook_id": hint.webhook_id,
        "outcome": PENDING,
        "emails": 0,
        "email_ids": [],
    }


def _noted_item(each: Any) -> dict[str, Any]:
    return {
        "source": each.source,
        "received_at": timestamp(each.received_at),
        "history_id": each.history_id,
        "webhook_id": each.webhook_id,
        "outcome": each.outcome,
        "emails": each.new,
        "email_ids": [readable_id(key) for key in each.keys],
    }
