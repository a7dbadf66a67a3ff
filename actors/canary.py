"""Sends a canary through the mailboxes every ten seconds, and keeps in a pulse when the last one came home.

One for each front. The mailbox in which it waits for its own is the node's, and goes with it (actors/janitor.py); `/health` and the metrics read the pulse.
"""

import secrets
import time
from collections.abc import Sequence

from actors.bodies import CLASSIFY, FETCH, canary_mailbox
from engine.canary import Pulse, canary
from engine.mailbox import Delivery
from engine.mailbox_actor import Context, MailboxActor, Outcome
from engine.names import node_of

EVERY_S, AWAY_S = 10.0, 60.0
"""Seconds between two canaries, and between two when none has come home for so long: they pile up in a mailbox that nobody reads."""

TICK_S = 1.0


class Canary(MailboxActor):
    """`every` is how often one is sung, in seconds; `first` is the mailbox into which it is put."""

    def __init__(
        self, context: Context, *, pulse: Pulse, name: str, every: float = EVERY_S, first: str = FETCH
    ) -> None:
        super().__init__(context, name=name, mailbox=canary_mailbox(node_of(context.process)), count=16)
        self.pulse, self.every_s, self.first = pulse, every, first
        self.sung_at = float("-inf")

    def on_start(self) -> None:
        """Begin to sing."""
        self.pulse.begin(time.monotonic())
        self.every(min(TICK_S, self.every_s), self.sing)

    def handle(self, batch: Sequence[Delivery]) -> Outcome:
        """They are back."""
        outcome = Outcome()
        for delivery in batch:
            took = max(0.0, time.time() - delivery.envelope.times.get("sung", 0.0))
            self.pulse.home(time.monotonic(), took)
            outcome.done(delivery)
        return outcome

    def sing(self) -> None:
        """One, when it is time to; none while nothing shall be taken."""
        now = time.monotonic()
        if self.context.control.paused:
            self.pulse.rest(now)
        elif now - self.sung_at >= (AWAY_S if self.pulse.away(now) > AWAY_S else self.every_s):
            self.context.store.put(self.first, [canary(secrets.token_hex(8), (CLASSIFY, self.mailbox))])
            self.sung_at = now
            self.pulse.sing(now)
