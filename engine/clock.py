"""The time that all nodes share: that of the store which all of them talk to, carried on by this machine's steady one.

Whatever one node writes down and another goes by - when an email is due again, since when it is missing, how long ago a cursor was
reached - is told by `now`. The clocks are compared with each beat of the heart (actors/heart.py), and by who begins to lead
(leadership.py); until then it is this machine's clock, and within TOLERANCE_S that and the store's count as equal. Between two
comparisons it goes by a clock that nobody can set, so that whoever sets this machine's clock moves nothing.

Where the store's own clock is set, `now` takes a step, and what was written before it seems older or younger than it is. What must not
happen too early (a floor that rises, an email that is given up as gone) waits until `steady_s` has covered the whole span.
"""

import time
from collections.abc import Callable
from typing import Protocol

TOLERANCE_S = 0.25
"""The time that a question takes hides smaller differences, and nothing here goes by them."""

SLOWEST_S = 2.0
"""A question that took longer says too little about clocks, unless nothing better is known yet."""

STEP_S = 1.0
"""A smaller step than this is none: nothing that is waited for is told by the second."""

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class Clocked(Protocol):
    """What is needed of the store (mailbox.MailboxStore)."""

    def time(self) -> float:
        """Its clock, seconds since the epoch."""


class SharedClock:
    """`offset`: what the shared time is beyond the steady clock's. Who has just started knows of no step before, and counts as one."""

    def __init__(self) -> None:
        self.offset = _this_machines()
        self._stepped_at = _steady()
        self._compared = False

    def now(self) -> float:
        """Seconds since the epoch."""
        return _steady() + self.offset

    def steady_s(self) -> float:
        """For how many seconds it has gone on without a step, as far as this process knows."""
        return _steady() - self._stepped_at

    def compare(self, ask: Callable[[], float]) -> float:
        """Ask the store what its time is; by how much this machine's clock is ahead of the shared one then (below 0: behind)."""
        before, theirs, after = _steady(), ask(), _steady()
        offset, hidden, ours = theirs - (before + after) / 2, TOLERANCE_S + (after - before) / 2, _this_machines()
        if self._compared and after - before > SLOWEST_S:
            return ours - self.offset
        self._compared = True
        if abs(ours - offset) <= hidden:
            offset = ours  # then all processes of a machine say the same
        elif abs(self.offset - offset) <= hidden:
            offset = self.offset
        if abs(offset - self.offset) > STEP_S:
            self._stepped_at = _steady()
        self.offset = offset
        return ours - offset


def _this_machines() -> float:
    return time.time() - _steady()


def _steady() -> float:
    """Seconds since some moment that nobody can set; where the system has such a clock (Linux), a machine's sleep counts too."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


_shared = SharedClock()
now, steady_s, compare = _shared.now, _shared.steady_s, _shared.compare
"""Those of this process."""
