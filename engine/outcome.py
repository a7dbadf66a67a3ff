"""What becomes of a batch: a handler's outcome, the policy of retries, and the records that leave the engine with them.

Handlers (actors/) fill an Outcome; engine/mailbox_actor.py carries it out. The Ledger is implemented on SQL by actors/ledger.py,
so that a retry is durable before its message leaves the mailbox.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from engine.backoff import backoff
from engine.errors import DependencyTrouble
from engine.mailbox import Delivery, Envelope, Verdict
from engine.unicode import storable

MAX_ERROR = 2_000
"""Characters of an error that are kept."""


@dataclass(frozen=True, slots=True)
class Retry:
    """This try failed. `delay` in seconds, None: the policy's; `spend` False: nobody's fault, no attempt is spent."""

    delivery: Delivery
    reason: str
    error: str
    delay: float | None = None
    spend: bool = True
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Grave:
    """Never again."""

    delivery: Delivery
    reason: str
    error: str


@dataclass(frozen=True, slots=True)
class Again:
    """A dependency's trouble with this one alone: it stays in hand and is handled again after a back-off."""

    delivery: Delivery
    trouble: DependencyTrouble


Fate = Verdict | Retry | Grave | Again
Key = tuple[str, str]


def key_of(delivery: Delivery) -> Key:
    """What names a delivery within its mailbox."""
    return delivery.lane, delivery.entry


class Outcome:
    """One fate for each delivery of a batch; a second one for the same delivery is a ValueError."""

    def __init__(self) -> None:
        self.fates: dict[Key, Fate] = {}

    def done(self, delivery: Delivery, *events: bytes) -> None:
        """Its work is durable: acknowledge it and tell these events."""
        self._enter(delivery, Verdict(delivery, None, events))

    def forward(self, delivery: Delivery, mailbox: str, envelope: Envelope, *events: bytes) -> None:
        """Hand it on: `envelope` goes into `mailbox` in the step that acknowledges it."""
        self._enter(delivery, Verdict(delivery, (mailbox, envelope), events))

    def retry(
        self,
        delivery: Delivery,
        reason: str,
        error: str,
        *,
        delay: float | None = None,
        spend: bool = True,
        missing: bool = False,
    ) -> None:
        """It failed now and may pass later; buried with `reason` when its attempts are used up."""
        self._enter(delivery, Retry(delivery, reason, error, delay, spend, missing))

    def bury(self, delivery: Delivery, reason: str, error: str) -> None:
        """It can never pass."""
        self._enter(delivery, Grave(delivery, reason, error))

    def again(self, delivery: Delivery, trouble: DependencyTrouble) -> None:
        """Its dependency is in trouble while the others' were not: no attempt is spent, nobody is told."""
        self._enter(delivery, Again(delivery, trouble))

    def missing(self, batch: Iterable[Delivery]) -> list[Delivery]:
        """Deliveries of the batch without a fate: a handler's bug."""
        return [delivery for delivery in batch if key_of(delivery) not in self.fates]

    def _enter(self, delivery: Delivery, fate: Fate) -> None:
        key = key_of(delivery)
        if key in self.fates:
            raise ValueError(f"delivery {key} of mailbox {delivery.mailbox} was given two fates")
        self.fates[key] = fate


@dataclass(frozen=True, slots=True)
class Postponement:
    """A try that failed and will be repeated at `next_at`. The envelope's `attempts` (spent before it) are the guard."""

    delivery: Delivery
    reason: str
    error: str
    at: float
    next_at: float
    processor: str
    spend: bool = True
    missing: bool = False


class Obituary(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an envelope in the mailbox DEAD. `attempts`: tries that were made; `content`: what the message carried."""

    reason: str
    error: str
    attempts: int
    at: float
    processor: str
    mailbox: str = ""
    content: bytes = b""


class Ledger(Protocol):
    """Where postponed messages are written down before they leave the mailbox; the janitor has them fed again when they are due."""

    def postpone(self, postponements: Sequence[Postponement]) -> list[bool]:
        """Durable when it returns, however often it is called; for each whether the event log is to be told of it."""

    def retry_event(self, postponement: Postponement) -> bytes | None:
        """What the event log is told of it; None: nothing."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`max_retries` tries after the first one; the first waits `delay` seconds, doubling up to `cap`, with jitter."""

    max_retries: int = 3
    delay: float = 1.0
    cap: float = 60.0

    def after(self, attempts: int, rng: random.Random | None = None) -> float | None:
        """Seconds to wait once `attempts` tries have failed; None when there is none left."""
        return None if attempts > self.max_retries else self.pause(attempts, rng)

    def pause(self, attempts: int, rng: random.Random | None = None) -> float:
        """The same without the limit."""
        return backoff(attempts, base=self.delay, cap=self.cap, rng=rng)


def error_text(text: str) -> str:
    """An error's text as it can be stored anywhere: no surrogates, no NUL, not too long."""
    return storable(text[:MAX_ERROR])
