"""The history id that a notification announced and no listing has shown yet: FakeMail may tell of an email before it lists it.

Owned by the lister (lister.py), which looks for it again soon, a few times, and then leaves it to the polls. Times are
`time.monotonic()`, in seconds.
"""

from engine.backoff import backoff

TRIES = 8
"""So often it is looked for, with growing pauses."""

NEVER = float("inf")


class Announced:
    """`history_id` is 0 while nothing is awaited; `look_at` is when to look for it next."""

    def __init__(self) -> None:
        self.history_id = 0
        self.look_at = NEVER
        self._tries = 0

    def expect(self, history_id: int, cursor: int, now: float) -> None:
        """A notification named this id, and the look for it left the cursor there. Each new one begins its tries anew."""
        if history_id > cursor:
            self.history_id, self._tries = max(self.history_id, history_id), 0
        self.looked(cursor, now)

    def looked(self, cursor: int, now: float) -> None:
        """A look has left the cursor there."""
        if self.history_id > cursor and self._tries < TRIES:
            self._tries += 1
            self.look_at = now + backoff(self._tries, base=0.1, cap=10.0)
        else:  # an id that never comes (a stranger's, or one from before a reset) must not hide the next ones
            self.history_id, self.look_at = 0, NEVER
