"""Tracks a history id that was announced but not listed yet: FakeMail may announce an email before it lists it.

The lister looks for it again soon, a few times, and then leaves it to the polls. Times are `time.monotonic()`, in
seconds.
"""

from engine.backoff import backoff

TRIES = 8
"""How many times to look for it, at growing intervals."""

NEVER = float("inf")


class Announced:
    """`history_id` is 0 while nothing is awaited; `look_at` is when to look next."""

    def __init__(self) -> None:
        self.history_id = 0
        self.look_at = NEVER
        self._tries = 0

    def expect(self, history_id: int, cursor: int, now: float) -> None:
        """Record that a notification named this id and that the look for it left the cursor at `cursor`.

        A new id resets the tries.
        """
        if history_id > cursor:
            self.history_id, self._tries = max(self.history_id, history_id), 0
        self.looked(cursor, now)

    def looked(self, cursor: int, now: float) -> None:
        """Record that a look left the cursor at `cursor`."""
        if self.history_id > cursor and self._tries < TRIES:
            self._tries += 1
            self.look_at = now + backoff(self._tries, base=0.1, cap=10.0)
        else:  # an id that never comes (a forged one, or one from before a reset) must not hide later ones
            self.history_id, self.look_at = 0, NEVER
