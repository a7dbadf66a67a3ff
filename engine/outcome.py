"""What becomes of a batch: a handler's outcome, the retry policy, and the records that leave the engine with them.

Handlers (actors/) fill in an Outcome, and engine/mailbox_actor.py carries it out. actors/ledger.py implements the
Ledger on SQL, so that a retry is durable before its message leaves the mailbox.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from engine.backoff import backoff
from engine.errors import DependencyTrouble
from engine.mailbox import Delivery, Envelope, Settlement
from engine.unicode import storable

MAX_ERROR = 2_000
"""The number of characters of an error text that are kept."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The disposition of a message whose try failed and may be repeated.

    `delay` is in seconds (None: the policy decides). With `spend` False the message is not at fault, and no attempt
    is spent. `missing` says that the subject of the message was not found.
    """

    delivery: Delivery
    reason: str
    error: str
    delay: float | None = None
    spend: bool = True
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Bury:
    """The disposition of a message that can never succeed."""

    delivery: Delivery
    reason: str
    error: str


@dataclass(frozen=True, slots=True)
class Again:
    """The disposition of a message that alone met a dependency's trouble: it stays in hand and is handled again later."""

    delivery: Delivery
    trouble: DependencyTrouble


Disposition = Settlement | Retry | Bury | Again
Key = tuple[str, str]


def key_of(delivery: Delivery) -> Key:
    """Return what identifies a delivery within its mailbox."""
    return delivery.lane, delivery.entry


class Outcome:
    """One disposition for each delivery of a batch; a second disposition for the same delivery raises ValueError."""

    def __init__(self) -> None:
        self.dispositions: dict[Key, Disposition] = {}

    def done(self, delivery: Delivery, *events: bytes) -> None:
        """Acknowledge a delivery whose work is durable, and report these events."""
        self._enter(delivery, Settlement(delivery, None, events))

    def forward(self, delivery: Delivery, mailbox: str, envelope: Envelope, *events: bytes) -> None:
        """Hand a delivery on: `envelope` goes into `mailbox` in the step that acknowledges the delivery."""
        self._enter(delivery, Settlement(delivery, (mailbox, envelope), events))

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
        """Retry a delivery that may succeed later; it is buried with `reason` once its attempts are used up."""
        self._enter(delivery, Retry(delivery, reason, error, delay, spend, missing))

    def bury(self, delivery: Delivery, reason: str, error: str) -> None:
        """Bury a delivery that can never succeed."""
        self._enter(delivery, Bury(delivery, reason, error))

    def again(self, delivery: Delivery, trouble: DependencyTrouble) -> None:
        """Handle a delivery again that alone met a dependency's trouble; spends no attempt, and reports nothing."""
        self._enter(delivery, Again(delivery, trouble))

    def missing(self, batch: Iterable[Delivery]) -> list[Delivery]:
        """Return the deliveries of the batch that have no disposition, which is a bug in the handler."""
        return [delivery for delivery in batch if key_of(delivery) not in self.dispositions]

    def _enter(self, delivery: Delivery, disposition: Disposition) -> None:
        key = key_of(delivery)
        if key in self.dispositions:
            raise ValueError(f"delivery {key} of mailbox {delivery.mailbox} was given two dispositions")
        self.dispositions[key] = disposition


@dataclass(frozen=True, slots=True)
class ScheduledRetry:
    """A failed try that will be repeated at `next_at`. The envelope's `attempts` guard against counting it twice."""

    delivery: Delivery
    reason: str
    error: str
    at: float
    next_at: float
    processor: str
    spend: bool = True
    missing: bool = False


class DeadLetterBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an envelope in the mailbox DEAD. `attempts`: the tries made; `content`: the message's body."""

    reason: str
    error: str
    attempts: int
    at: float
    processor: str
    mailbox: str = ""
    content: bytes = b""


class Ledger(Protocol):
    """Records retries before their messages leave the mailbox; the janitor has them fed again when due."""

    def postpone(self, retries: Sequence[ScheduledRetry]) -> list[bool]:
        """Record the retries durably; idempotent. Returns for each whether to report it to the event log."""

    def retry_event(self, retry: ScheduledRetry) -> bytes | None:
        """Return the event that reports a retry, or None."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Allows `max_retries` tries after the first. Waits start at `delay` seconds and double up to `cap`, jittered."""

    max_retries: int = 3
    delay: float = 1.0
    cap: float = 60.0

    def after(self, attempts: int, rng: random.Random | None = None) -> float | None:
        """Return the seconds to wait after `attempts` failed tries; None if no retry is left."""
        return None if attempts > self.max_retries else self.pause(attempts, rng)

    def pause(self, attempts: int, rng: random.Random | None = None) -> float:
        """Return the seconds to wait after `attempts` failed tries, however many they are."""
        return backoff(attempts, base=self.delay, cap=self.cap, rng=rng)


def error_text(text: str) -> str:
    """Return an error's text as it can be stored anywhere: without surrogates and NUL, at most MAX_ERROR long."""
    return storable(text[:MAX_ERROR])
