"""The engine's ledger on top of the books: a failed attempt is durable in SQL before its message leaves the mailbox."""

from collections.abc import Sequence

from actors.events import retry_event
from engine.failpoints import reach
from engine.mailbox_actor import ScheduledRetry
from storage.books import Books
from storage.records import Attempt


class SqlLedger:
    """Implements engine.mailbox_actor.Ledger."""

    def __init__(self, books: Books) -> None:
        self.books = books

    def postpone(self, retries: Sequence[ScheduledRetry]) -> list[bool]:
        """Write down the attempts.

        Return True for each whose event is to be published, False if the row moved on or it was published before.
        """
        attempts = [
            Attempt(
                source=each.delivery.envelope.source,
                key=each.delivery.envelope.key,
                ref=each.delivery.envelope.ref,
                generation=each.delivery.envelope.generation,
                feed_seq=each.delivery.envelope.feed_seq,
                attempts=each.delivery.envelope.attempts,
                reason=each.reason,
                error=each.error,
                at=each.at,
                next_at=each.next_at,
                processor_id=each.processor,
                spend=each.spend,
                missing=each.missing,
            )
            for each in retries
        ]
        reach("postpone.before")
        told = self.books.postpone(attempts)
        reach("postpone.committed")
        return told

    def retry_event(self, retry: ScheduledRetry) -> bytes:
        """Return the event for a retry; its `attempts` include this one if it was spent."""
        envelope = retry.delivery.envelope
        return retry_event(
            envelope.source,
            envelope.key,
            reason=retry.reason,
            error=retry.error,
            attempts=envelope.attempts + retry.spend,
            next_at=retry.next_at,
            at=retry.at,
        )
