"""MailboxActor: take → handle → postpone → settle. Read this loop first.

The actor's pump (engine/pump.py) sends it batches, a subclass's `handle` decides the disposition of each message
(engine/handling.py calls it), and this file carries the dispositions out, so that a kill between any two lines loses
nothing and counts nothing twice. Put before acknowledge: first the handler's own durable work, then retries in the
ledger, then one atomic settle. Each step is safe to repeat.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import gevent

from engine import events
from engine.context import Context
from engine.decisions import RetryDecider, by_kind
from engine.errors import DependencyTrouble
from engine.failpoints import reach
from engine.handling import Handling
from engine.mailbox import Settlement
from engine.names import node_of, process_of
from engine.outcome import DeadLetterBody, Ledger, Outcome, RetryPolicy, ScheduledRetry, key_of
from engine.pump import Intake, Pump
from engine.work import Work

__all__ = ["Context", "DeadLetterBody", "Ledger", "MailboxActor", "Outcome", "RetryPolicy", "ScheduledRetry"]

log = logging.getLogger(__name__)

STOP_S = 3.0
"""How long a stopping actor keeps working on the batches in hand."""

SWEEP_S = 30.0
"""How often an actor looks for consumers of its process that no living actor owns (a pool shrank, a release failed)."""


class MailboxActor(Handling):
    """An actor that consumes a mailbox. Subclasses write `handle`.

    `count` and `max_bytes` limit a batch, and `into` names the downstream mailboxes that must have room. One call of
    `handle` may take `deadline` seconds; each `breathe()` renews them.
    """

    def __init__(
        self,
        context: Context,
        *,
        name: str,
        mailbox: str,
        kind: str = "",
        count: int = 256,
        max_bytes: int = 8 * 1024 * 1024,
        into: Sequence[str] = (),
        deadline: float = 60.0,
        block: float = 1.0,
    ) -> None:
        super().__init__(context, name=name, kind=kind, mailbox=mailbox, deadline=deadline)
        self.consumer = context.consumer(name)
        self.pump = Pump(self, context.store, Intake(mailbox, self.consumer, count, max_bytes, tuple(into), block))
        self.decider = RetryDecider(context.policy, self.consumer, context.rng)
        self._pumping: gevent.Greenlet[..., Any] | None = None
        self._stop_at: float | None = None
        context.living.add(self.consumer)

    # -- hooks -----------------------------------------------------------------------------------------------------------

    def may_take(self) -> bool:
        """Return False while nothing may be taken."""
        self.card.paused = self.context.control.paused
        return not self.card.paused

    def others_read(self) -> bool:
        """Whether another node reads this mailbox too."""
        readers = map(process_of, self.context.store.consumers(self.mailbox))
        return any(node_of(process) != node_of(self.context.process) for process in readers)

    # -- the loop --------------------------------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> Any:
        """Work on a batch from the pump; leave any other message to pykka."""
        return self._work(message) if isinstance(message, Work) else super().on_receive(message)

    def _work(self, work: Work) -> None:
        if work not in self.pump.in_hand:  # given back, together with the batch before it
            return None
        if self.pump.held:  # the batch before it waits for a dependency: this one stays in order behind it
            return self.pump.hold(work, None)
        if self._too_late():
            return None
        try:
            self._handle(work)
            self.goes_on()  # restart the hang clock: the next steps have time limits of their own
            reach("work.handled")
            self._postpone(work)
            self.goes_on()
            reach("work.postponed")
            self._settle(work)
            reach("work.settled")
        except DependencyTrouble as trouble:
            return self._keep(work, trouble)
        return self._finish(work)

    def _handle(self, work: Work) -> None:
        """Give every message a disposition: as a batch, or one by one if the batch raised."""
        with work.timed("handle_s"):
            while work.todo:
                batch = work.todo[0]
                self.goes_on()  # the deadline applies to one call, and a batch that raised needs many
                dispositions = self.dispositions_of(batch)
                work.todo.popleft()
                if dispositions is None:
                    work.todo.extendleft([delivery] for delivery in reversed(batch))
                else:
                    work.dispositions.update(dispositions)

    def _postpone(self, work: Work) -> None:
        """Record retries durably before their messages are acknowledged, and collect the settlements.

        Dispositions are decided only once, so that a repetition of this step records the same.
        """
        if work.settlements is not None:
            return
        with work.timed("postpone_s"):
            work.decisions = work.decisions or self.decider.decide(work.dispositions.values(), self.context.clock())
            retries, settlements, work.again = by_kind(work.decisions)
            to_be_told = self.context.ledger.postpone(retries) if retries else []
            for retry, tell in zip(retries, to_be_told, strict=True):
                settlements.append(Settlement(retry.delivery, None, self._told(retry) if tell else ()))
            work.settlements = settlements

    def _settle(self, work: Work) -> None:
        """Acknowledge, forward and report in one atomic step of the store; repeated until its answer is known."""
        assert work.settlements is not None
        with work.timed("settle_s"):
            ours = self.context.store.settle(work.settlements) if work.settlements else []
        if not all(ours):
            lost = (settlement for settlement, kept in zip(work.settlements, ours, strict=True) if not kept)
            work.foreign = frozenset(key_of(settlement.delivery) for settlement in lost)

    def _finish(self, work: Work) -> None:
        rest = Work([again.delivery for again in work.again]) if work.again else None
        self.pump.finished(work, rest, well=len(work.again) + work.canaries < len(work.deliveries))
        self._tell(work)
        if rest is not None:
            self._keep(rest, work.again[0].trouble)

    def _keep(self, work: Work, trouble: DependencyTrouble) -> None:
        """Keep a batch in hand, with no attempt spent, unless it should go back to the mailbox."""
        try:
            if not self._goes_back(work):
                return self.pump.hold(work, trouble)
            self.release(self.consumer)
        except DependencyTrouble:
            return self.pump.hold(work, trouble)
        return self.pump.dropped(trouble)

    def _goes_back(self, work: Work) -> bool:
        """Whether a batch in trouble goes back to the mailbox.

        A quarantined message does, so that it is not blamed for whatever else kills the process while it waits. In
        trouble that lasts, so does a batch that another node may be able to handle; one that already has its settlements
        needs only the store.
        """
        return work.quarantined or (work.settlements is None and self.pump.trouble_lasts() and self.others_read())

    # -- the pump's host -------------------------------------------------------------------------------------------------

    def before_taking(self) -> None:
        """Quarantine what this process's predecessor held when it crashed, before anything is taken."""
        self.context.recovery.before_taking(self.context.store, self.mailbox)

    def accept(self, work: Work) -> None:
        """Append a batch to the actor's inbox."""
        self.actor_ref.tell(work)

    def release(self, consumer: str) -> None:
        """Give back to the mailbox what a consumer of this process holds; no message is blamed."""
        given = self.context.store.release(self.mailbox, consumer, crashed=False)
        if given:
            level = logging.DEBUG if self.pump.probing else logging.INFO  # an outage is logged once
            log.log(level, "gave %d messages of %s back to mailbox %s", given, consumer, self.mailbox)
            self.bus.emit(events.RELEASED, mailbox=self.mailbox, consumer=consumer, count=given)

    # -- start and stop --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._pumping = self.spawn(self.pump.run)
        self.every(SWEEP_S, self._sweep, first=SWEEP_S)

    def on_stop(self) -> None:
        """Take nothing more, and give back what is still in hand; if that fails, a later sweep does it."""
        self.pump.wake()
        if self._pumping is not None:
            self._pumping.join(self.pump.intake.block + 1.0)
            self._pumping.kill()
        self.context.living.discard(self.consumer)
        with suppress(DependencyTrouble, gevent.Timeout), gevent.Timeout(1.0):
            self.release(self.consumer)

    def _end(self) -> None:
        self.context.living.discard(self.consumer)
        super()._end()

    def _too_late(self) -> bool:
        """Whether a stopping actor has used up its STOP_S; batches that are left then go back to the mailbox."""
        if not self.stop_asked.is_set():
            return False
        self._stop_at = self._stop_at or time.monotonic() + STOP_S
        return time.monotonic() > self._stop_at

    def _sweep(self) -> None:
        """Give back what consumers of this process hold that no longer have an actor.

        The first sweep waits: at the start, other actors of the pool do not exist yet, and what they held is theirs
        to finish.
        """
        self.before_taking()
        for consumer, held in self.context.store.consumers(self.mailbox).items():
            if held and process_of(consumer) == self.context.process and consumer not in self.context.living:
                self.release(consumer)

    # -- reporting -------------------------------------------------------------------------------------------------------

    def _told(self, retry: ScheduledRetry) -> tuple[bytes, ...]:
        """Return a retry's event, if any; an error in making it must not keep the message from being acknowledged."""
        try:
            event = self.context.ledger.retry_event(retry)
        except Exception:
            log.exception("the retry event of %s", retry.delivery.envelope.key)
            return ()
        return () if event is None else (event,)

    def _tell(self, work: Work) -> None:
        """Report the results of a batch, once."""
        counts = work.counts()
        self.count(len(work.deliveries) - counts["again"])
        self.bus.emit(
            events.BATCH_SETTLED,
            mailbox=self.mailbox,
            actor=self.name,
            messages=len(work.deliveries),
            **counts,
            **work.seconds,
        )
        for (kind, reason), count in work.reasons().items():
            event = events.MESSAGE_BURIED if kind == "buried" else events.MESSAGE_RETRIED
            self.bus.emit(event, mailbox=self.mailbox, reason=reason, count=count)
