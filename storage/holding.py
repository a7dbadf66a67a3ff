"""Reads rows of the books for a change; on PostgreSQL, locks them in a fixed order, so that writers cannot deadlock.

Used by retries.py and dead_letters.py, which guard their writes by the values read here.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from storage.statements import batch, execute, for_update


class Message(Protocol):
    """The part of a message's outcome that identifies it: the email, its generation and its feed number (0: any)."""

    @property
    def ref(self) -> int:
        """The email's row in the books."""

    @property
    def key(self) -> str:
        """The email's id in its stored form (keys.py)."""

    @property
    def generation(self) -> int:
        """The email's generation."""

    @property
    def feed_seq(self) -> int:
        """The number under which the message was fed."""


class Held(NamedTuple):
    """A row of the books as it was read; `state` is the number of a BookState."""

    state: int
    key: str
    generation: int
    attempts: int
    source: int
    listed_at: float
    next_attempt_at: float | None
    feed_seq: int

    def is_of(self, message: Message) -> bool:
        """Return whether this is the row's newest message; older ones must be ignored, or both would be reported."""
        alike = (message.key, message.generation) == (self.key, self.generation)
        return alike and message.feed_seq in (0, self.feed_seq)


def hold(refs: Iterable[int]) -> dict[int, Held]:
    """Read these rows and lock them until the transaction ends."""
    table, params = batch({"ref": "bigint"}, [(ref,) for ref in sorted(set(refs))])
    rows = execute(
        "SELECT id, state, key, generation, attempts, source, listed_at, next_attempt_at, feed_seq FROM book "
        f"WHERE id IN (SELECT ref FROM {table}) ORDER BY id {for_update()}",
        params,
    )
    return {row[0]: Held(*row[1:]) for row in rows}
