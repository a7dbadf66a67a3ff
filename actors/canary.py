"""Sends a canary, a synthetic message, through the mailboxes every ten seconds; a pulse records the last return.

Runs once in each front. Canaries return to a mailbox of their node, which the janitor removes once the node is gone
(actors/janitor.py). `/health` and the metrics read that pulse.
"""

import secrets
import time
from collections.abc import Sequence

from actors.bodies import CLASSIFY, FETCH, canary_mailbox
from engine import clock
from engine.canary import Pulse, canary
from engine.mailbox import Delivery
from engine.mailbox_actor import Context, MailboxActor, Outcome
from engine.names import node_of

EVERY_S, AWAY_S = 10.0, 60.0
"""Seconds between two canaries, and the longer interval once none has returned for that long: they would pile up in an
unread mailbox."""

TICK_S = 1.0


class Canary(MailboxActor):
    """`every` is the interval in seconds; `first` is the mailbox that canaries are put into."""

    def __init__(
        self, context: Context, *, pulse: Pulse, name: str, every: float = EVERY_S, first: str = FETCH
    ) -> None:
        super().__init__(context, name=name, mailbox=canary_mailbox(node_of(context.process)), count=16)
        self.pulse, self.every_s, self.first = pulse, every, first
        self.sent_at = float("-inf")

    def on_start(self) -> None:
        """Start sending canaries."""
        self.pulse.begin(time.monotonic())
        self.every(min(TICK_S, self.every_s), self.send)

    def handle(self, batch: Sequence[Delivery]) -> Outcome:
        """Record the canaries that have returned."""
        outcome = Outcome()
        for delivery in batch:
            now = clock.now()
            self.pulse.returned(time.monotonic(), max(0.0, now - delivery.envelope.times.get("sent", now)))
            outcome.done(delivery)
        return outcome

    def send(self) -> None:
        """Send a canary if one is due; none while processing is paused."""
        now = time.monotonic()
        if self.context.control.paused:
            self.pulse.idle(now)
        elif now - self.sent_at >= (AWAY_S if self.pulse.away(now) > AWAY_S else self.every_s):
            self.context.store.put(self.first, [canary(secrets.token_hex(8), (CLASSIFY, self.mailbox))])
            self.sent_at = now
            self.pulse.sent(now)
