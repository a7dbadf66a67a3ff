"""A canary: a message about nothing that flies through the mailboxes and comes home, so that consuming is proven and not believed.

Sung by actors/canary.py, passed on by every mailbox actor before its handler sees the batch (engine/work.py): it is taken, waits its turn in
the inbox and is settled like any other, but touches no books, no dependency and no event log.
"""

import time
from dataclasses import dataclass

import msgspec

from engine.events import DEPENDENCY_BACK, Bus
from engine.mailbox import Delivery, Envelope, Verdict

CANARY = "(canary)"
"""The source of its envelope; no source is called so."""


def canary(key: str, route: tuple[str, ...]) -> Envelope:
    """One that visits the mailboxes of `route` after the one that it is put into; in the last one its owner waits for it."""
    return Envelope(CANARY, key, lane="high", times={"sung": time.time()}, body=",".join(route).encode())


def passed_on(delivery: Delivery) -> Verdict | None:
    """Where a canary flies next; None for what is no canary, and for one that has come home."""
    envelope = delivery.envelope
    if envelope.source != CANARY or not envelope.body:
        return None
    target, _, rest = envelope.body.partition(b",")
    return Verdict(delivery, (target.decode(), msgspec.structs.replace(envelope, body=rest)))


@dataclass
class Pulse:
    """What the canaries of this process tell: times are monotonic, durations seconds."""

    round_trip: float | None = None
    counted_from: float | None = None
    waiting_since: float | None = None
    excused_until: float = 0.0

    def listen(self, bus: Bus) -> None:
        """A canary may stay away while an actor waits for a dependency: count anew from the end of that."""
        bus.subscribe(lambda _event, _fields: self.excuse(time.monotonic()), DEPENDENCY_BACK)

    def excuse(self, now: float) -> None:
        """Whatever was before now does not count."""
        self.excused_until = now

    def begin(self, now: float) -> None:
        """The canaries' actor starts, perhaps again: none flies, and the age counts on."""
        self.waiting_since = None
        if self.counted_from is None:
            self.counted_from = now

    def sing(self, now: float) -> None:
        """One flies."""
        if self.waiting_since is None:
            self.waiting_since = now

    def home(self, now: float, round_trip: float) -> None:
        """One is back: whatever was before it has been consumed."""
        self.waiting_since, self.counted_from, self.round_trip = None, now, round_trip

    def rest(self, now: float) -> None:
        """None is expected, since nothing shall be taken."""
        self.waiting_since, self.counted_from = None, now

    def away(self, now: float) -> float:
        """For how long a canary has been away."""
        return 0.0 if self.waiting_since is None else now - self.waiting_since

    def overdue(self, now: float) -> float:
        """For how long a canary has been away without an excuse."""
        return 0.0 if self.waiting_since is None else max(0.0, now - max(self.waiting_since, self.excused_until))

    def age(self, now: float) -> float | None:
        """Seconds since the last one came home, since none was expected, or since the start; None before it."""
        return None if self.counted_from is None else now - self.counted_from
