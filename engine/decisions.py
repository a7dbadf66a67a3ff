"""Turns dispositions into decisions: a failed try becomes a retry or, with none left, a burial: a forward to DEAD.

Pure: the time and the random generator are passed in. Called by engine/mailbox_actor.py, once for each batch.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from engine.mailbox import DEAD, Delivery, Envelope, Settlement
from engine.outcome import Again, Bury, DeadLetterBody, Disposition, Retry, RetryPolicy, ScheduledRetry, error_text

Decision = Settlement | ScheduledRetry | Again


@dataclass(frozen=True, slots=True)
class RetryDecider:
    """Decides for one mailbox; `processor` names the actor that handled the messages, as `node/process/actor`."""

    policy: RetryPolicy
    processor: str
    rng: random.Random

    def decide(self, dispositions: Iterable[Disposition], now: float) -> list[Decision]:
        """Return one decision for each disposition, in order."""
        return [self._decision(disposition, now) for disposition in dispositions]

    def _decision(self, disposition: Disposition, now: float) -> Decision:
        match disposition:
            case Settlement() | Again():
                return disposition
            case Bury():
                return self._bury(disposition.delivery, disposition.reason, disposition.error, now)
            case Retry():
                return self._retry(disposition, now)

    def _retry(self, retry: Retry, now: float) -> Decision:
        delivery, policy = retry.delivery, self.policy
        tries = delivery.envelope.attempts + 1
        pause = policy.after(tries, self.rng) if retry.spend else policy.pause(tries, self.rng)
        if pause is None or delivery.mailbox == DEAD:
            return self._bury(delivery, retry.reason, retry.error, now)
        due = now + (pause if retry.delay is None else retry.delay)
        return ScheduledRetry(
            delivery, retry.reason, error_text(retry.error), now, due, self.processor, retry.spend, retry.missing
        )

    def _bury(self, delivery: Delivery, reason: str, error: str, now: float) -> Settlement:
        if delivery.mailbox == DEAD:
            return Settlement(delivery, (DEAD, _lighter(delivery.envelope)))
        tries = delivery.envelope.attempts + max(1, delivery.deaths)
        letter = DeadLetterBody(
            reason, error_text(error), tries, now, self.processor, delivery.mailbox, delivery.envelope.body
        )
        envelope = msgspec.structs.replace(delivery.envelope, attempts=tries, body=msgspec.msgpack.encode(letter))
        return Settlement(delivery, (DEAD, envelope))


def by_kind(decisions: Iterable[Decision]) -> tuple[list[ScheduledRetry], list[Settlement], list[Again]]:
    """Return the decisions of each kind, in order."""
    retries: list[ScheduledRetry] = []
    settlements: list[Settlement] = []
    again: list[Again] = []
    for decision in decisions:
        match decision:
            case ScheduledRetry():
                retries.append(decision)
            case Settlement():
                settlements.append(decision)
            case Again():
                again.append(decision)
    return retries, settlements, again


def _lighter(envelope: Envelope) -> Envelope:
    """Return a dead-letter body's envelope without the content, which may be why the body cannot be stored.

    It goes to the end of the mailbox DEAD, and is tried again there.
    """
    try:
        letter = msgspec.msgpack.decode(envelope.body, type=DeadLetterBody)
    except msgspec.MsgspecError:
        letter = DeadLetterBody("unreadable_dead_letter", "", envelope.attempts, 0.0, "")
    lighter = msgspec.structs.replace(letter, content=b"")
    return msgspec.structs.replace(envelope, body=msgspec.msgpack.encode(lighter))
