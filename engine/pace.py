"""Decides how much a pump takes and how soon: small batches cost more than their work, big ones delay urgent mail.

Owned by the pump (engine/pump.py), which reports what it took and what it finished. All times are `time.monotonic()`,
in seconds.
"""

from collections.abc import Sequence

from engine.mailbox import BACKGROUND, Delivery

AHEAD = 2
"""The most batches in hand: one being handled and, while batches are big, one ahead."""

REST, REST_S = 1.5, 0.008
"""After a small batch, messages gather for REST times as long as it took, at most REST_S seconds."""

SMALLER, BRISK_S = 4, 2.0
"""After a batch that mixed urgent messages with background ones, batches are SMALLER times smaller for BRISK_S
seconds, because the next urgent message has to wait for what is in hand."""


class Pace:
    """The pace of one pump. A full batch has `most` messages or `max_bytes` bytes; it starts by expecting full ones."""

    def __init__(self, most: int, max_bytes: int) -> None:
        self.most, self.max_bytes = most, max_bytes
        self._plenty = True  # the last batch was a big one, so there will be more
        self._took_at = self._rest_until = self._brisk_until = 0.0

    def ahead(self) -> int:
        """Return how many batches may be in hand."""
        return AHEAD if self._plenty else 1

    def count(self, now: float) -> int:
        """Return how many messages to ask for."""
        return self.most if now >= self._brisk_until else max(1, self.most // SMALLER)

    def rest(self, now: float) -> float:
        """Return the seconds to let messages gather before the next take; 0 or less: none."""
        return self._rest_until - now

    def took(self, batch: Sequence[Delivery], asked: int, began: float, now: float) -> None:
        """Note that a take of `asked` messages, which `began` at that time, returned `batch`."""
        self._took_at = now
        self._plenty = 2 * len(batch) >= asked or 2 * sum(each.size for each in batch) >= self.max_bytes
        if len({each.lane == BACKGROUND for each in batch}) > 1:
            self._brisk_until = began + BRISK_S

    def finished(self, now: float) -> None:
        """Note that a batch is no longer in hand."""
        if not self._plenty:
            self._rest_until = now + min((now - self._took_at) * REST, REST_S)
