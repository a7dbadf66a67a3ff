"""The time that all nodes share: this machine's clock, set right by that of the store all of them talk to.

Whatever one node writes down and another goes by - when an email is due again, since when it is missing, how long ago a cursor was
reached - is told by `now`. The clocks are compared with each beat of the heart (actors/heart.py), and by who begins to lead
(leadership.py); until then, and within TOLERANCE_S, they count as equal.
"""

import time
from typing import Protocol

TOLERANCE_S = 0.25
"""The time that a question takes hides smaller differences, and nothing here goes by them."""

SLOWEST_S = 2.0
"""A question that took longer says nothing about clocks."""


class Clocked(Protocol):
    """What is needed of the store (mailbox.MailboxStore)."""

    def time(self) -> float:
        """Its clock, seconds since the epoch."""


class SharedClock:
    """`ahead`: by so many seconds this machine's clock is ahead of the store's (below 0: behind)."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() - self.ahead

    def compare(self, store: Clocked) -> float:
        """Ask the store; `ahead` as it is then."""
        before, theirs, after = time.time(), store.time(), time.time()
        if 0 <= after - before <= SLOWEST_S:
            ahead = (before + after) / 2 - theirs
            self.ahead = ahead if abs(ahead) > TOLERANCE_S + (after - before) / 2 else 0.0
        return self.ahead


_shared = SharedClock()
now, compare = _shared.now, _shared.compare
"""Those of this process."""
