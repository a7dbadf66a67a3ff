"""When an email's result was told to everybody: its entry of the event log, looked up for the timeline. Called by emails.py.

From the time that an entry's id bears on, every WebSocket client and subscriber is pushed it. Nothing of that is stored with the
email, so the log is read from the time of the result, MOST_EVENTS at most: what was cut off, or came too late, is not told of.
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
    """Seconds since the epoch, not before the result's own time; None where it cannot be told."""
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
    """How the event of just this result begins, and what stands in it; actors/events.py writes them so."""
    of = {"email_id": readable_id(result.key), "source": result.source}
    begin = b'{"event":%s,"data":%s,' % (_encode(PROCESS), _encode(of)[:-1])
    return begin, b'"processed_at":' + _encode(timestamp(result.processed_at))
