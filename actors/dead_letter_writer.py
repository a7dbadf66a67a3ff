"""Writes dead letters for everything that is buried, so that even a message that kills processes ends in the books."""

import logging
from collections.abc import Sequence

import msgspec

from actors.bodies import CLASSIFY, ClassifyBody
from actors.events import dead_event, readable_id
from engine.failpoints import reach
from engine.logs import Folded
from engine.mailbox import DEAD, Delivery
from engine.mailbox_actor import Context, DeadLetterBody, MailboxActor, Outcome
from storage.dead_letters import DeadLetters
from storage.records import Burial, Content, DeadLetter

log = logging.getLogger(__name__)


class DeadLetterWriter(MailboxActor):
    """Runs once in each front. Burying the same message twice has no further effect."""

    def __init__(self, context: Context, *, dead_letters: DeadLetters, name: str = "dead_letter_writer") -> None:
        super().__init__(context, name=name, mailbox=DEAD)
        self.dead_letters = dead_letters
        self.buried = Folded(log)

    def handle(self, batch: Sequence[Delivery]) -> Outcome:
        """Store a batch of dead-letter bodies as dead letters in one transaction, and acknowledge with `dead` events."""
        reach("bury.before")
        letters = self.dead_letters.bury([_burial(delivery) for delivery in batch])
        reach("bury.committed")
        outcome = Outcome()
        for delivery, letter in zip(batch, letters, strict=True):
            outcome.done(delivery, *([dead_event(letter)] if letter else []))
        self.buried.infos("Failed for good", [letter for letter in letters if letter], _named)
        return outcome


def _burial(delivery: Delivery) -> Burial:
    envelope = delivery.envelope
    letter = msgspec.msgpack.decode(envelope.body, type=DeadLetterBody)
    return Burial(
        source=envelope.source,
        key=envelope.key,
        ref=envelope.ref,
        generation=envelope.generation,
        feed_seq=envelope.feed_seq,
        attempts=letter.attempts,
        reason=letter.reason,
        error=letter.error,
        at=letter.at,
        processor_id=letter.processor,
        content=_content(letter),
        times=envelope.times,
    )


def _named(letter: DeadLetter) -> dict[str, str]:
    return {"source": letter.source, "email_id": readable_id(letter.key), "reason": letter.reason}


def _content(letter: DeadLetterBody) -> Content | None:
    """Return the email if it had been fetched; the content from another mailbox would decode as an empty email."""
    if letter.mailbox not in ("", CLASSIFY) or not letter.content:
        return None
    try:
        return msgspec.msgpack.decode(letter.content, type=ClassifyBody)
    except msgspec.DecodeError:
        return None
