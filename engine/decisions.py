"""Turns fates into decisions: a failed try becomes a postponement or, with none left, a burial: a forward to DEAD.

Pure: the time and the random generator are passed in. Called by engine/mailbox_actor.py, once for each batch.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from engine.mailbox import DEAD, Delivery, Envelope, Verdict
from engine.outcome import Again, Fate, Grave, Obituary, Postponement, Retry, RetryPolicy, error_text

Decision = Verdict | Postponement | Again


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides for one mailbox; `processor` names the actor that handled the messages, as `node/process/actor`."""

    policy: RetryPolicy
    processor: str
    rng: random.Random

    def decide(self, fates: Iterable[Fate], now: float) -> list[Decision]:
        """Return one decision for each fate, in order."""
        return [self._decision(fate, now) for fate in fates]

    def _decision(self, fate: Fate, now: float) -> Decision:
        match fate:
            case Verdict() | Again():
                return fate
            case Grave():
                return self._bury(fate.delivery, fate.reason, fate.error, now)
            case Retry():
                return self._retry(fate, now)

    def _retry(self, retry: Retry, now: float) -> Decision:
        delivery, policy = retry.delivery, self.policy
        tries = delivery.envelope.attempts + 1
        pause = policy.after(tries, self.rng) if retry.spend else policy.pause(tries, self.rng)
        if pause is None or delivery.mailbox == DEAD:
            return self._bury(delivery, retry.reason, retry.error, now)
        due = now + (pause if retry.delay is None else retry.delay)
        return Postponement(
            delivery, retry.reason, error_text(retry.error), now, due, self.processor, retry.spend, retry.missing
        )

    def _bury(self, delivery: Delivery, reason: str, error: str, now: float) -> Verdict:
        if delivery.mailbox == DEAD:
            return Verdict(delivery, (DEAD, _lighter(delivery.envelope)))
        tries = delivery.envelope.attempts + max(1, delivery.deaths)
        obituary = Obituary(
            reason, error_text(error), tries, now, self.processor, delivery.mailbox, delivery.envelope.body
        )
        envelope = msgspec.structs.replace(delivery.envelope, attempts=tries, body=msgspec.msgpack.encode(obituary))
        return Verdict(delivery, (DEAD, envelope))


def by_kind(decisions: Iterable[Decision]) -> tuple[list[Postponement], list[Verdict], list[Again]]:
    """Return the decisions of each kind, in order."""
    postponements: list[Postponement] = []
    verdicts: list[Verdict] = []
    again: list[Again] = []
    for decision in decisions:
        match decision:
            case Postponement():
                postponements.append(decision)
            case Verdict():
                verdicts.append(decision)
            case Again():
                again.append(decision)
    return postponements, verdicts, again


def _lighter(envelope: Envelope) -> Envelope:
    """Return an obituary's envelope without the content, which may be why the obituary cannot be stored.

    It goes to the end of the mailbox DEAD, and is tried again there.
    """
    try:
        obituary = msgspec.msgpack.decode(envelope.body, type=Obituary)
    except msgspec.MsgspecError:
        obituary = Obituary("unreadable_obituary", "", envelope.attempts, 0.0, "")
    lighter = msgspec.structs.replace(obituary, content=b"")
    return msgspec.structs.replace(envelope, body=msgspec.msgpack.encode(lighter))
