"""A canary: a test message that travels through the mailboxes and back, to prove that they are consumed.

Sent by actors/canary.py; every mailbox actor passes it on before its handler sees the batch (engine/work.py). It is
taken, waits in the inbox and is settled like any other message, but touches neither the books, nor a dependency, nor
the event log.
"""

import time
from dataclasses import dataclass

import msgspec

from engine import clock
from engine.events import DEPENDENCY_BACK, Bus
from engine.mailbox import Delivery, Envelope, Settlement

CANARY = "(canary)"
"""The source in a canary's envelope; no real source can have this name."""


def canary(key: str, route: tuple[str, ...]) -> Envelope:
    """Make a canary that visits the mailboxes of `route` after its first one; in the last its owner waits for it."""
    return Envelope(CANARY, key, lane="high", times={"sent": clock.now()}, body=",".join(route).encode())


def passed_on(delivery: Delivery) -> Settlement | None:
    """Return the settlement that passes a canary on; None for other messages, and for a canary that has come home."""
    envelope = delivery.envelope
    if envelope.source != CANARY or not envelope.body:
        return None
    target, _, rest = envelope.body.partition(b",")
    return Settlement(delivery, (target.decode(), msgspec.structs.replace(envelope, body=rest)))


@dataclass
class Pulse:
    """The record of this process's canaries. Times are monotonic, durations are in seconds."""

    round_trip: float | None = None
    counted_from: float | None = None
    waiting_since: float | None = None
    excused_until: float = 0.0

    def listen(self, bus: Bus) -> None:
        """Excuse a canary that is late because an actor waited for a dependency: count from the end of that wait."""
        bus.subscribe(lambda _event, _fields: self.excuse(time.monotonic()), DEPENDENCY_BACK)

    def excuse(self, now: float) -> None:
        """Disregard all lateness before `now`."""
        self.excused_until = now

    def begin(self, now: float) -> None:
        """Note that the canary actor starts, perhaps again: no canary is under way, and the age goes on counting."""
        self.waiting_since = None
        if self.counted_from is None:
            self.counted_from = now

    def sent(self, now: float) -> None:
        """Note that a canary was sent."""
        if self.waiting_since is None:
            self.waiting_since = now

    def returned(self, now: float, round_trip: float) -> None:
        """Note that a canary came home: what was queued before it has been consumed."""
        self.waiting_since, self.counted_from, self.round_trip = None, now, round_trip

    def idle(self, now: float) -> None:
        """Note that no canary is expected, since nothing may be taken."""
        self.waiting_since, self.counted_from = None, now

    def away(self, now: float) -> float:
        """Return how long a canary has been away."""
        return 0.0 if self.waiting_since is None else now - self.waiting_since

    def overdue(self, now: float) -> float:
        """Return how long a canary has been away without an excuse."""
        return 0.0 if self.waiting_since is None else max(0.0, now - max(self.waiting_since, self.excused_until))

    def age(self, now: float) -> float | None:
        """Return the seconds since a canary came home, or none was expected, or the start; None before the start."""
        return None if self.counted_from is None else now - self.counted_from
