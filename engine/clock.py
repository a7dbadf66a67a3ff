"""The time that all nodes share: the clock of their common store, continued by this machine's steady clock.

`now` gives every time that one node writes and another relies on: when an email is due again, since when it has been
missing, how long ago a cursor was reached. The clocks are compared at each heartbeat (actors/heartbeat.py), and when an
actor begins to lead (leadership.py). Before the first comparison `now` is this machine's clock; clocks that differ by
less than TOLERANCE_S count as equal. Between comparisons `now` follows a clock that nobody can set, so setting this
machine's clock moves nothing.

When the store's own clock is set, `now` takes a step, and earlier timestamps seem older or younger than they are.
What must not happen too early (a floor that rises, an email that is given up as gone) waits until `steady_s` covers
the whole span.
"""

import time
from collections.abc import Callable
from typing import Protocol

TOLERANCE_S = 0.25
"""The round trip of a comparison hides smaller differences, and nothing here depends on them."""

SLOWEST_S = 2.0
"""A comparison that took longer says too little about the clocks; it is used only if it is the first."""

STEP_S = 1.0
"""A smaller step does not count as one: no wait depends on single seconds."""

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class Clocked(Protocol):
    """The part of a store (mailbox.MailboxStore) that a clock needs."""

    def time(self) -> float:
        """Return the store's clock, in seconds since the epoch."""


class SharedClock:
    """A shared clock. `offset` is the shared time minus the steady clock's.

    A process that has just started knows of no earlier step, so its start counts as one.
    """

    def __init__(self) -> None:
        self.offset = _this_machines()
        self._stepped_at = _steady()
        self._compared = False

    def now(self) -> float:
        """Return the shared time, in seconds since the epoch."""
        return _steady() + self.offset

    def steady_s(self) -> float:
        """Return for how many seconds the clock has run without a step, as far as this process knows."""
        return _steady() - self._stepped_at

    def compare(self, ask: Callable[[], float]) -> float:
        """Compare with the store's clock; returns how far this machine's is ahead of the shared one (< 0: behind)."""
        before, theirs, after = _steady(), ask(), _steady()
        offset, hidden, ours = theirs - (before + after) / 2, TOLERANCE_S + (after - before) / 2, _this_machines()
        if self._compared and after - before > SLOWEST_S:
            return ours - self.offset
        self._compared = True
        if abs(ours - offset) <= hidden:
            offset = ours  # so that all processes of a machine agree
        elif abs(self.offset - offset) <= hidden:
            offset = self.offset
        if abs(offset - self.offset) > STEP_S:
            self._stepped_at = _steady()
        self.offset = offset
        return ours - offset


def _this_machines() -> float:
    return time.time() - _steady()


def _steady() -> float:
    """Return the seconds since a fixed moment, on a clock that nobody can set; on Linux that includes sleep."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


_shared = SharedClock()
now, steady_s, compare = _shared.now, _shared.steady_s, _shared.compare
"""The shared clock of this process."""
