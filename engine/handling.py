"""Calls a handler within its deadline, lets other greenlets run meanwhile, and charges each error to the right message.

engine/mailbox_actor.py builds its loop on this. Its subclasses write `handle`, and call `breathe` and `thinking` in it.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import gevent

from engine import events
from engine.actor import ServiceActor
from engine.context import Context
from engine.errors import DependencyTrouble, MessageTrouble, Permanent
from engine.mailbox import DEAD, Delivery
from engine.outcome import Bury, Disposition, Key, Outcome, Retry, error_text, key_of

log = logging.getLogger(__name__)

LONE_DEATHS = 2
"""A message is quarantined when a process dies while holding it, and buried after this many more deaths while alone."""

GRACE_S = 30.0
"""A handler is interrupted at its deadline; one that cannot be interrupted counts as hung this much later."""


class HandlerTimeout(MessageTrouble):
    """A handler took longer than its deadline."""


class Handling(ServiceActor):
    """An actor that handles batches from `mailbox`. A call may take `deadline` seconds; `breathe()` renews them.

    `error_reason` and `timeout_reason` are the dead letter's reasons for messages on which the handler raised or
    timed out.
    """

    error_reason: ClassVar[str] = "handler_error"
    timeout_reason: ClassVar[str] = "handler_timeout"

    def __init__(self, context: Context, *, name: str, kind: str, mailbox: str, deadline: float) -> None:
        super().__init__(name=name, kind=kind, bus=context.bus, deadline=deadline + GRACE_S)
        self.context, self.mailbox, self.handle_deadline = context, mailbox, deadline
        self.card.mailbox = mailbox
        self._limit: gevent.Timeout | None = None
        self._breathed = 0.0

    def handle(self, batch: Sequence[Delivery]) -> Outcome:
        """Do the work of a batch and return the disposition of each message. May be called again for the same messages.

        Raise DependencyTrouble when a dependency is unavailable: no attempt is spent, and the same batch comes again.
        After any other error each message is handled alone, and those that raise again are charged for it.
        """
        raise NotImplementedError

    def dispositions_of(self, batch: list[Delivery]) -> dict[Key, Disposition] | None:
        """Return the batch's dispositions; None if it raised and has more than one message."""
        first = batch[0]
        if first.lone_deaths >= LONE_DEATHS:
            text = f"{first.deaths} processes died while they held it, {first.lone_deaths} of them while it was alone"
            return {key_of(first): Bury(first, "crashed_process", text)}
        try:
            outcome = self._handled(batch)
        except DependencyTrouble:
            raise
        except BaseException as error:  # noqa: BLE001  (an error that a message causes is charged to it alone)
            return self._raised(batch, error)
        for delivery in outcome.missing(batch):
            log.error("%s forgot a message of mailbox %s: a bug, charged as a failed try", self.name, self.mailbox)
            outcome.retry(delivery, self.error_reason, f"{self.name} forgot it")
        return {key: outcome.dispositions[key] for key in map(key_of, batch)}

    def _handled(self, batch: list[Delivery]) -> Outcome:
        error = HandlerTimeout(f"took longer than {self.handle_deadline:g} s", reason=self.timeout_reason)
        self._limit, self._breathed = gevent.Timeout.start_new(self.handle_deadline, error), time.monotonic()
        try:
            outcome = self.handle(batch)
        finally:
            self._limit.close()
            self._limit = None
        if not isinstance(outcome, Outcome):
            raise TypeError(f"{self.name}.handle returned {type(outcome).__name__}, not an Outcome")
        return outcome

    def goes_on(self) -> None:
        """Note that the handler makes progress, and renew its whole deadline."""
        super().goes_on()
        if self._limit is not None:
            self._limit.close()
            self._limit = gevent.Timeout.start_new(self.handle_deadline, self._limit.exception)

    def breathe(self) -> None:
        """Let other greenlets run, and renew the handler's whole deadline."""
        super().breathe()
        self._breathed = time.monotonic()

    def breathe_after(self, seconds: float) -> None:
        """Breathe, unless the handler did so within the last `seconds`."""
        if time.monotonic() - self._breathed > seconds:
            self.breathe()

    @contextmanager
    def thinking(self) -> Iterator[None]:
        """Let one actor of the process compute at a time. Waiting for it renews the deadline and is not a hang."""
        while not self.context.thinking.acquire(timeout=self.handle_deadline / 2):
            self.breathe()
        self.goes_on()
        self._breathed = time.monotonic()
        try:
            yield
        finally:
            self.context.thinking.release()

    def _raised(self, batch: list[Delivery], error: BaseException) -> dict[Key, Disposition] | None:
        self.card.error = error_text(f"{type(error).__name__}: {error}")
        if len(batch) > 1:
            log.warning(
                "%s raised on %d messages, which are handled one by one: %s", self.name, len(batch), self.card.error
            )
            self.bus.emit(
                events.HANDLER_FAILED,
                mailbox=self.mailbox,
                actor=self.name,
                messages=len(batch),
                error=self.card.error,
            )
            return None
        delivery = batch[0]
        if self.mailbox == DEAD:  # it goes back to the end of this mailbox, and must not spin there
            self.pause(1.0)
        log.info(
            "%s could not handle %s: %s",
            self.name,
            delivery.envelope.key,
            self.card.error,
            exc_info=error if log.isEnabledFor(logging.DEBUG) else None,
        )
        reason = error.reason if isinstance(error, MessageTrouble) else self.error_reason
        disposition = Bury if isinstance(error, Permanent) else Retry
        return {key_of(delivery): disposition(delivery, reason, self.card.error)}
