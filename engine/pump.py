"""The pump: a greenlet that keeps a mailbox actor supplied, one batch ahead at the most, from what is already its own and from the mailbox.

Owned by engine/mailbox_actor.py. Back-pressure by construction: nothing is taken while two batches are in hand, while the gate
is shut, or while a dependency is in trouble; how much and how soon is for the pace to say (engine/pace.py). A trouble that lasts may be
ours alone: then what is in hand goes back, and one message at a time is tried until one gets on. It relies on the store's
pending list, never on its own memory: after every trouble, soon once more, and every REREAD_S besides, it reads again what the store
believes to be in our hands.
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
"""What is in our hands is read again so often, in case an answer was lost without anybody noticing."""

REREAD_SOON_S = 1.0
"""After a trouble or a start it is read again after so long, then after twice as long each time, up to REREAD_S: a call that was given up may
still be under way, and come to the server when it has been read what is in our hands."""

IDLE_S = 0.05
"""The pause after an empty answer that came at once (no room downstream, another's turn)."""

GIVE_BACK_S = 30.0
"""After so long in trouble what is in hand goes back to those to whom the dependency may be well: longer than a restart or a failover
takes, in which moving it would help nobody, and shorter than anybody likes to wait for mail."""

MAX_RETRY_AFTER = 300.0
BACKOFF_CAP = 2.0


@dataclass(frozen=True, slots=True)
class Intake:
    """From where the pump takes, and how much at once."""

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
        """Set when nothing more shall be taken."""

    def before_taking(self) -> None:
        """Whatever must be done once before the first message."""

    def may_take(self) -> bool:
        """False: nothing is taken now."""

    def accept(self, work: Work) -> None:
        """Put it into the actor's inbox."""

    def waiting(self, trouble: DependencyTrouble) -> None:
        """Show it."""

    def running(self) -> None:
        """Show that it is over."""


class Pump:
    """`run` in a greenlet of the actor's; `finished` and `hold` are called by the actor, in its own greenlet."""

    def __init__(self, host: Host, store: MailboxStore, intake: Intake) -> None:
        self.host, self.store, self.intake = host, store, intake
        self.pace = Pace(intake.count, intake.max_bytes)
        self.in_hand: list[Work] = []
        self.held: list[Work] = []
        self.wait_until = 0.0
        self._troubles = 0
        self._troubled_since = 0.0
        self.probing = False  # something was given back in trouble: one message at a time is tried, until one gets on
        self._ready = False
        self._reread = True
        self._reread_at, self._reread_pause = 0.0, REREAD_SOON_S
        self._moved = Event()

    # -- called by the actor ---------------------------------------------------------------------------------------------

    def finished(self, work: Work, *, well: bool) -> None:
        """It has left our hands. `well`: a message of it got on, so whatever trouble there was is over."""
        self.in_hand.remove(work)
        self.pace.finished(time.monotonic())
        if well:
            self._no_trouble()
        self._moved.set()

    def trouble_lasts(self) -> bool:
        """Whether others should have what is in hand: it has gone on for GIVE_BACK_S, or nothing has got on since it had."""
        return self.probing or (self._troubles > 0 and time.monotonic() - self._troubled_since > GIVE_BACK_S)

    def dropped(self, trouble: DependencyTrouble) -> None:
        """All that was in hand was given back to the mailbox, in a trouble that goes on."""
        self.in_hand.clear()
        self.held.clear()
        self.probing = True
        self._back_off(trouble)
        self._moved.set()

    def wake(self) -> None:
        """Look again whether to go on."""
        self._moved.set()

    def hold(self, work: Work, trouble: DependencyTrouble | None) -> None:
        """Keep it in hand, and give it to the actor again after a back-off (or, without trouble of its own, behind such a one)."""
        if work not in self.in_hand:
            self.in_hand.append(work)
        self.held.append(work)
        if trouble is not None:
            self._back_off(trouble)
        self._moved.set()

    # -- the greenlet ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until the actor shall stop."""
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
        elif self._reread or time.monotonic() >= self._reread_at:
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
            self.host.running()  # there was nothing to try for so long: perhaps it is over
        if batch and not self.host.may_take():
            self._reread = True  # the gate was shut while we stood at the mailbox: it goes back
        elif batch:
            self.pace.took(batch, count, began, time.monotonic())
            self._hand_over(batch)
        elif time.monotonic() - began < IDLE_S:
            self.host.stop_asked.wait(IDLE_S)

    def _take_up_own(self) -> None:
        """What the store says is in our hands although we know nothing of it: after a restart, or by a lost answer."""
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
        """We may not work on what a predecessor or a lost answer left in our hands, but others may."""
        if self._reread and not self.in_hand:
            self.store.release(self.intake.mailbox, self.intake.consumer, crashed=False)
            self._has_reread()
            self._no_trouble()
        self._wait(0.25)

    def _has_reread(self) -> None:
        pause = min(self._reread_pause, REREAD_S)
        self._reread, self._reread_at, self._reread_pause = False, time.monotonic() + pause, 2 * pause

    def _hands_empty(self) -> bool:
        if self.in_hand:
            self._wait(1.0)
        return not self.in_hand

    def _give_back(self) -> None:
        """A quarantined message that was handed out to our predecessor: it waits for its turn again, alone, and is not blamed."""
        if self._hands_empty():
            self.store.release(self.intake.mailbox, self.intake.consumer, crashed=False)

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
        self._reread, self._reread_pause = True, REREAD_SOON_S
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
        """Until the actor has moved something, it shall stop, or time is up."""
        self._moved.wait(seconds)
        self._moved.clear()
