"""Rows of the books held for a change: read as they are and, on PostgreSQL, locked in one order, so that no two writers wait for each other.

Used by retries.py and dead_letters.py, which guard what they write by what stands here.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from storage.statements import batch, execute, for_update


class Message(Protocol):
    """What came of a message: which email it was about, in which life of it, and the number it was fed under (0: any)."""

    @property
    def ref(self) -> int:
        """The row of the books."""

    @property
    def key(self) -> str:
        """The email's id."""

    @property
    def generation(self) -> int:
        """The life of the email."""

    @property
    def feed_seq(self) -> int:
        """Under which it was fed."""


class Held(NamedTuple):
    """A row as it stands; `state` by its number."""

    state: int
    key: str
    generation: int
    attempts: int
    source: int
    listed_at: float
    next_attempt_at: float | None
    feed_seq: int

    def is_of(self, message: Message) -> bool:
        """Whether this message is the newest of the row: an older one leaves it to that one, or both would tell of it."""
        alike = (message.key, message.generation) == (self.key, self.generation)
        return alike and message.feed_seq in (0, self.feed_seq)


def hold(refs: Iterable[int]) -> dict[int, Held]:
    """Read these rows, and keep them as they are until the transaction ends."""
    table, params = batch({"ref": "bigint"}, [(ref,) for ref in sorted(set(refs))])
    rows = execute(
        "SELECT id, state, key, generation, attempts, source, listed_at, next_attempt_at, feed_seq FROM book "
        f"WHERE id IN (SELECT ref FROM {table}) ORDER BY id {for_update()}",
        params,
    )
    return {row[0]: Held(*row[1:]) for row in rows}
