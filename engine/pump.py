"""The pump: a greenlet that supplies a mailbox actor with batches, at most one ahead of the batch being handled.

Owned by engine/mailbox_actor.py. Back-pressure is built in: nothing is taken while two batches are in hand, while the
actor is paused, or while a dependency is in trouble. engine/pace.py decides how much is taken and how soon. Trouble
that lasts may be limited to this node: the batches in hand then go back to the mailbox, and single messages are tried
until one succeeds. The pump relies on the store's pending list, never on its own memory: at the start, after every
trouble, at growing intervals after that, and then every REREAD_S, it rereads which messages the store believes this
consumer holds.
"""

import time
from dataclasses import dataclass
from typing import Protocol

from gevent.event import Event

from engine.backoff import backoff
from engine.errors import DependencyTrouble
from engine.mailbox import QUARANTINE, Delivery, MailboxStore
from engine.pace import Pace
from engine.work import Work

REREAD_S = 30.0
"""How often the pending list is reread, in case a reply was lost without anybody noticing."""

REREAD_SOON_S = 1.0
"""The first interval between rereads after a start or trouble; it doubles each time, up to REREAD_S. A call that was
given up may still be under way, and reach the server after the pending list has been read."""

IDLE_S = 0.05
"""The pause after an empty reply that came at once (no room downstream, or another consumer's turn)."""

GIVE_BACK_S = 30.0
"""After this long in trouble, the batches in hand go back to the mailbox, since another node may still reach the
dependency. It is longer than a restart or a failover takes, when moving them would help nobody, and shorter than
anybody likes to wait for mail."""

MAX_RETRY_AFTER = 300.0
BACKOFF_CAP = 2.0


@dataclass(frozen=True, slots=True)
class Intake:
    """Where the pump takes messages from, and how many at once."""

    mailbox: str
    consumer: str
    count: int
    max_bytes: int
    into: tuple[str, ...]
    block: float


class Host(Protocol):
    """The actor that a pump supplies."""

    @property
    def stop_asked(self) -> Event:
        """Set when the actor should take nothing more."""

    def before_taking(self) -> None:
        """Do what must be done once before the first message is taken."""

    def may_take(self) -> bool:
        """Return False while nothing may be taken."""

    def accept(self, work: Work) -> None:
        """Put a batch into the actor's inbox."""

    def release(self, consumer: str) -> None:
        """Give back to the mailbox whatever this consumer holds, blaming no message. Raises DependencyTrouble."""

    def waiting(self, trouble: DependencyTrouble) -> None:
        """Show that the actor waits for a dependency."""

    def running(self) -> None:
        """Show that the wait is over."""


class Pump:
    """Supplies its host. `run` has a greenlet of its own; the actor calls the other public methods from its own."""

    def __init__(self, host: Host, store: MailboxStore, intake: Intake) -> None:
        self.host, self.store, self.intake = host, store, intake
        self.pace = Pace(intake.count, intake.max_bytes)
        self.in_hand: list[Work] = []
        self.held: list[Work] = []
        self.wait_until = 0.0
        self._troubles = 0
        self._troubled_since = 0.0
        self.probing = False  # batches were given back in trouble: take one message at a time until one succeeds
        self._ready = False
        self._reread_at, self._reread_pause = 0.0, REREAD_SOON_S
        self._moved = Event()

    # -- called by the actor ---------------------------------------------------------------------------------------------

    def finished(self, work: Work, rest: Work | None, *, well: bool) -> None:
        """Note that a batch is no longer in hand, or only the `rest` of it, which the actor then keeps or gives back.

        `well`: one of its messages got through, so any trouble is over.
        """
        self.in_hand.remove(work)
        if rest is not None:
            self.in_hand.append(rest)
        self.pace.finished(time.monotonic())
        if well:
            self._no_trouble()
        self._moved.set()

    def trouble_lasts(self) -> bool:
        """Whether others should get what is in hand, since trouble has lasted GIVE_BACK_S."""
        return self._troubles > 0 and time.monotonic() - self._troubled_since > GIVE_BACK_S

    def dropped(self, trouble: DependencyTrouble) -> None:
        """Note that everything in hand was given back to the mailbox because of trouble that goes on."""
        self.in_hand.clear()
        self.held.clear()
        self.probing = True
        self._back_off(trouble)
        self._moved.set()

    def wake(self) -> None:
        """Make the pump check at once whether to go on."""
        self._moved.set()

    def hold(self, work: Work, trouble: DependencyTrouble | None) -> None:
        """Keep a batch in hand, and give it to the actor again after a back-off.

        A batch without trouble of its own (None) waits behind one that has.
        """
        self.held.append(work)
        if trouble is not None:
            self._back_off(trouble)
        self._moved.set()

    # -- the greenlet ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Supply the actor until it is asked to stop."""
        while not self.host.stop_asked.is_set():
            try:
                self._step()
            except DependencyTrouble as trouble:
                self._back_off(trouble)

    def _step(self) -> None:
        if self.wait_until > time.monotonic():
            self.host.stop_asked.wait(self.wait_until - time.monotonic())
        elif self.held:
            self._try_again()
        elif not self._ready:
            self.host.before_taking()
            self._ready = True
        elif not self.host.may_take():
            self._leave_to_others()
        elif self._may_hold_more():
            self._take_up_own()
        elif (rest := self.pace.rest(time.monotonic())) > 0:
            self.host.stop_asked.wait(rest)
        elif self._has_room():
            self._take()
        else:
            self._wait(1.0)

    def _has_room(self) -> bool:
        ahead = 1 if self.probing else self.pace.ahead()
        return len(self.in_hand) < ahead and not any(work.quarantined for work in self.in_hand)

    def _take(self) -> None:
        began, intake = time.monotonic(), self.intake
        count = 1 if self.probing else self.pace.count(began)
        batch = self.store.take(
            intake.mailbox,
            intake.consumer,
            count=count,
            max_bytes=intake.max_bytes,
            block=intake.block,
            into=intake.into,
        )
        if not self.in_hand and not self.probing:
            self._no_trouble()
        elif self.probing and not batch and began - self.wait_until > GIVE_BACK_S:
            self.host.running()  # there has been nothing to try for GIVE_BACK_S: the trouble may be over
        if batch and not self.host.may_take():
            self._reread_at = 0.0  # paused while waiting for the batch: _leave_to_others gives it back
        elif batch:
            self.pace.took(batch, count, began, time.monotonic())
            self._hand_over(batch)
        elif time.monotonic() - began < IDLE_S:
            self.host.stop_asked.wait(IDLE_S)

    def _take_up_own(self) -> None:
        """Hand over what the store says this consumer holds, unknown to the pump: after a restart or a lost reply."""
        if not self._hands_empty():
            return None
        after: dict[str, str] = {}
        while page := self.store.pending(
            self.intake.mailbox, self.intake.consumer, count=self.intake.count, after=after
        ):
            if page[0].lane == QUARANTINE:
                return self._give_back()
            after.update({delivery.lane: delivery.entry for delivery in page})
            self._hand_over(page)
            while not self._has_room():
                self._wait(1.0)
                if self.held or self.host.stop_asked.is_set():
                    return None
        self._has_reread()
        return None

    def _leave_to_others(self) -> None:
        """While nothing may be taken, give back what a predecessor or a lost reply left with us: others may take it."""
        if self._may_hold_more() and not self.in_hand:
            self.host.release(self.intake.consumer)
            self._has_reread()
            self._no_trouble()
        self._wait(0.25)

    def _may_hold_more(self) -> bool:
        """Whether it is time to look for messages that the store believes we hold, and that we do not know of."""
        return time.monotonic() >= self._reread_at

    def _has_reread(self) -> None:
        pause = min(self._reread_pause, REREAD_S)
        self._reread_at, self._reread_pause = time.monotonic() + pause, 2 * pause

    def _hands_empty(self) -> bool:
        if self.in_hand:
            self._wait(1.0)
        return not self.in_hand

    def _give_back(self) -> None:
        """Give back a quarantined message that our predecessor was handed: unblamed, it waits for another turn."""
        if self._hands_empty():
            self.host.release(self.intake.consumer)

    def _hand_over(self, batch: list[Delivery]) -> None:
        work = Work(batch)
        self.in_hand.append(work)
        self.host.accept(work)

    def _try_again(self) -> None:
        held, self.held = self.held, []
        for work in held:
            self.host.accept(work)
        self._wait(1.0)

    def _back_off(self, trouble: DependencyTrouble) -> None:
        self._reread_at, self._reread_pause = 0.0, REREAD_SOON_S
        self.host.waiting(trouble)
        if not self._troubles:
            self._troubled_since = time.monotonic()
        self._troubles += 1
        pause = backoff(self._troubles, base=0.1, cap=BACKOFF_CAP)
        self.wait_until = time.monotonic() + max(pause, min(trouble.retry_after or 0.0, MAX_RETRY_AFTER))

    def _no_trouble(self) -> None:
        if self._troubles:
            self._troubles, self.probing = 0, False
            self.host.running()

    def _wait(self, seconds: float) -> None:
        """Wait until the actor calls one of the methods above, or time is up."""
        self._moved.wait(seconds)
        self._moved.clear()
