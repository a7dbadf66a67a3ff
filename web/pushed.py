"""When an email's result was pushed: the time of its entry in the event log, for the timeline of web/emails.py.

Every WebSocket client and subscriber is sent an entry from the time in its id on. That time is not stored with the
email, so the log is read from the time of the result, MOST_EVENTS at most: an entry that was trimmed, or came too late,
is not found.
"""

import msgspec

from actors.events import PROCESS, readable_id
from engine.errors import DependencyTrouble
from engine.mailbox import LogEntry, MailboxStore
from engine.timestamps import timestamp
from storage.event_log import place_at, told_at
from storage.records import StoredResult

MOST_EVENTS, A_PAGE = 1_000, 250
WITHIN_S = 10.0

_encode = msgspec.json.Encoder().encode


def pushed_at(mailboxes: MailboxStore, result: StoredResult) -> float | None:
    """Return seconds since the epoch, not before the result's own time; None if that cannot be told."""
    try:
        entry = _entry(mailboxes, result)
    except DependencyTrouble:
        return None
    return None if entry is None else max(result.processed_at, told_at(entry.seq))


def _entry(mailboxes: MailboxStore, result: StoredResult) -> LogEntry | None:
    begin, part = _marks(result)
    _, newest = mailboxes.log_bounds()
    after = place_at(newest, result.processed_at)
    for _ in range(MOST_EVENTS // A_PAGE):
        page = mailboxes.read_log(after, count=A_PAGE)
        if page.gap or not page.entries:
            return None
        for entry in page.entries:
            if entry.data.startswith(begin) and part in entry.data:
                return entry
        if told_at(page.last) > result.processed_at + WITHIN_S:
            return None
        after = page.last
    return None


def _marks(result: StoredResult) -> tuple[bytes, bytes]:
    """Return how the event of exactly this result begins, and a part within it, as actors/events.py writes them."""
    of = {"email_id": readable_id(result.key), "source": result.source}
    begin = b'{"event":%s,"data":%s,' % (_encode(PROCESS), _encode(of)[:-1])
    return begin, b'"processed_at":' + _encode(timestamp(result.processed_at))
