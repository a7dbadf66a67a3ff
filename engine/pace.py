"""How much a pump takes at once and how soon again: many small batches cost more than the work, and big ones keep urgent mail waiting.

Owned by the pump (engine/pump.py), which tells what it took and what it finished. All times are `time.monotonic()`, in seconds.
"""

from collections.abc import Sequence

from engine.mailbox import BACKGROUND, Delivery

AHEAD = 2
"""Batches in hand at most: one being handled and, while they are big, one ahead."""

REST, REST_S = 1.5, 0.008
"""After a small batch, messages gather REST times as long as it took, at most REST_S seconds."""

SMALLER, BRISK_S = 4, 2.0
"""Where urgent messages came in a batch with some that may wait, batches are so many times smaller for so many seconds: the next urgent
one waits for what is in hand."""


class Pace:
    """Begins as if there were plenty; `most` messages and `max_bytes` of them are a full batch."""

    def __init__(self, most: int, max_bytes: int) -> None:
        self.most, self.max_bytes = most, max_bytes
        self._plenty = True  # the last batch was a big one, so there will be more
        self._took_at = self._rest_until = self._brisk_until = 0.0

    def ahead(self) -> int:
        """Batches that may be in hand."""
        return AHEAD if self._plenty else 1

    def count(self, now: float) -> int:
        """Messages to ask for."""
        return self.most if now >= self._brisk_until else max(1, self.most // SMALLER)

    def rest(self, now: float) -> float:
        """Seconds to let messages gather before the next look; 0 or less: none."""
        return self._rest_until - now

    def took(self, batch: Sequence[Delivery], asked: int, began: float, now: float) -> None:
        """Of `asked` messages those came, to a look that `began` then."""
        self._took_at = now
        self._plenty = 2 * len(batch) >= asked or 2 * sum(each.size for each in batch) >= self.max_bytes
        if len({each.lane == BACKGROUND for each in batch}) > 1:
            self._brisk_until = began + BRISK_S

    def finished(self, now: float) -> None:
        """A batch has left our hands."""
        if not self._plenty:
            self._rest_until = now + min((now - self._took_at) * REST, REST_S)
