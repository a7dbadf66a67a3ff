"""Failpoints: named places between two important steps, at which a test can have the process killed by SIGKILL.

`reach(name)` costs one read of a module variable unless commands/process.py has armed a failpoint
(EMAILPROC_FAILPOINT, see `arm`). The sweep (tests/chaos/test_sweep.py) kills at each of POINTS and checks that the
books balance. Free of gevent.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from engine.errors import SettingsError

VARIABLE = "EMAILPROC_FAILPOINT"

POINTS = {
    "webhook.received": "a notification was read and checked, and is nowhere yet",
    "webhook.put": "the notification is in its mailbox, the 202 not yet sent",
    "subscribe.before": "about to subscribe at FakeMail",
    "subscribe.done": "subscribed, not yet noted here",
    "look.before": "notifications were taken, nothing was listed yet",
    "look.followed": "what they announced is in the books, the notifications not yet noted",
    "look.noted": "the notifications are noted, their messages not yet acknowledged",
    "listing.listed": "FakeMail's listing was read, nothing entered yet",
    "listing.entered": "a slice is in the books (with the last one the cursor has moved), nobody told",
    "feed.read": "open rows were read from the books, not yet put into the mailbox",
    "feed.fed": "they are in the mailbox, and the position has moved",
    "fetch.before": "ids were taken, nothing fetched yet",
    "fetch.fetched": "emails were fetched, not yet handed on",
    "classify.before": "emails were taken, nothing done yet",
    "classify.classified": "emails are classified, nothing saved yet",
    "results.committed": "results are committed, their messages not yet acknowledged, no event told",
    "postpone.before": "a try failed, which is written down nowhere yet",
    "postpone.committed": "the failed try is in the books, its message not yet acknowledged",
    "bury.before": "buried messages were taken, no dead letter written yet",
    "bury.committed": "dead letters are committed, their messages not yet acknowledged, no event told",
    "due.before": "about to reopen retries whose time has come",
    "due.committed": "they are open again, the feeder not yet told",
    "refeed.before": "open rows that no mailbox holds were found",
    "refeed.committed": "they have a new place in the feed",
    "work.handled": "a batch was handled, retries not yet written down",
    "work.postponed": "retries are written down, nothing settled yet",
    "work.settled": "a batch is settled in Redis, its actor has not noticed",
    "broadcast.read": "events were read from the log, no client told",
    "broadcast.fanout": "some clients were told, others not yet",
    "before.put": "Redis: before messages are appended",
    "after.put": "Redis: after messages were appended",
    "before.take": "Redis: before messages are taken",
    "after.take": "Redis: messages are in our hands, as Redis knows, but not we",
    "before.pending": "Redis: before our own messages are read again",
    "after.pending": "Redis: after they were read",
    "before.settle": "Redis: before a batch is acknowledged, handed on and told",
    "after.settle": "Redis: after that, all in one step",
    "before.feed": "Redis: before the feeder's position moves",
    "after.feed": "Redis: after it moved and the messages were appended",
    "before.release": "Redis: before a dead consumer's messages are given back",
    "after.release": "Redis: after a slice of them was given back",
    "before.lease": "Redis: before a lease is taken or renewed",
    "after.lease": "Redis: after that",
}
"""Every failpoint, and what has happened when it is reached. `before.` and `after.` enclose the Redis script of that
name."""


@dataclass(slots=True)
class _Armed:
    name: str
    left: int
    marker: Path


_armed: list[_Armed] = []


def reach(name: str, which: str = "") -> None:
    """Mark the failpoint `name` + `which`; the process dies here if it is armed and due."""
    if _armed:
        _hit(name + which)


def arm(text: str | None, role: str, folder: Path) -> None:
    """Arm the failpoints that `text` lists for this role: "ROLE:NAME" or "ROLE:NAME:HIT", separated by commas.

    The process dies when it reaches NAME for the HIT-th time (default 1), once in the life of `folder`: a marker file
    is left there, so that the restarted process survives. Raises SettingsError if `text` is wrong.
    """
    _armed.clear()
    for each in (text or "").split(","):
        if not each.strip():
            continue
        wanted, _, rest = each.strip().partition(":")
        name, _, hit = rest.partition(":")
        if name not in POINTS or not (hit or "1").isdigit():
            raise SettingsError(f"{VARIABLE}={each}: no such failpoint; `run.py failpoints` lists them")
        marker = folder / f"failpoint-{wanted}-{name}-{hit or 1}"
        if wanted == role and not marker.exists():
            _armed.append(_Armed(name, int(hit or 1), marker))


def _hit(name: str) -> None:
    for armed in _armed:
        if armed.name == name:
            armed.left -= 1
            if armed.left == 0 and _first(armed.marker):
                os.kill(os.getpid(), signal.SIGKILL)


def _first(marker: Path) -> bool:
    """Leave the marker; False if another process of the same role was faster."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
