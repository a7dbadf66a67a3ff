"""A circuit breaker as plain arithmetic: the clock is passed in, and nothing sleeps or does I/O.

FakeMailClient calls `admit` before each request and reports its outcome. Closed: every call passes. Open: every call is
refused until a jittered back-off is over. Half-open: one call, the probe, passes; its success closes the breaker, its
failure opens it again.

The breaker opens after `threshold` failures with no success between them. A failure may have a key (the id of one
email), and the same key counts once in such a run. So one email whose answer is garbage, requested again and again
while nothing else is going on, never blocks the others. Any success ends the run.
"""

import random
from typing import NamedTuple

from engine.backoff import backoff
from engine.errors import DependencyTrouble


class Permit(NamedTuple):
    """Permission for one call, returned through `success`, `failure`, `throttle` or `abandon`."""

    started: float
    probe: bool


class Refused(Exception):
    """The call must not be made for `wait` more seconds; `throttled` if FakeMail itself asked for the pause."""

    def __init__(self, wait: float, *, throttled: bool) -> None:
        super().__init__(f"refused for {wait:.1f} s")
        self.wait = wait
        self.throttled = throttled


class CircuitOpen(DependencyTrouble):
    """The call was not made because the breaker refused it, so nothing is known about its subject."""


THROTTLING = 1_000
"""For how many keys, at most, the breaker remembers that their last answer asked for a pause."""


class CircuitBreaker:
    """Closed, open or half-open. All times are seconds of the same monotonic clock.

    The back-off doubles from `base_s` to `cap_s`, times a random 0.5 to 1. It counts from the start of the call that
    failed, so that a probe that was itself a long wait is not followed by another one.
    """

    def __init__(
        self,
        *,
        threshold: int = 5,
        base_s: float = 0.5,
        cap_s: float = 3.0,
        rng: random.Random | None = None,
    ) -> None:
        self._threshold = threshold
        self._base_s = base_s
        self._cap_s = cap_s
        self._rng = rng
        self._keys: set[str] = set()
        self._failures = 0
        self._openings = 0
        self._open_until: float | None = None
        self._probing = False
        self._throttled_until = 0.0
        self._throttling: dict[str, None] = {}  # keys whose last answer asked for a pause, the latest at the end

    def state(self, now: float) -> str:
        """Return `closed`, `open` or `half-open`, as shown by /health."""
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half-open"

    def admit(self, now: float, *, early: bool = False) -> Permit:
        """Permit a call now or raise Refused. With `early` the probe may go before the back-off is over."""
        if now < self._throttled_until:
            raise Refused(self._throttled_until - now, throttled=True)
        if self._open_until is None:
            return Permit(now, probe=False)
        if now < self._open_until and not early:
            raise Refused(self._open_until - now, throttled=False)
        if self._probing:
            raise Refused(self._base_s, throttled=False)
        self._probing = True
        return Permit(now, probe=True)

    def success(self, permit: Permit, *, key: str | None = None) -> None:
        """Report a proper answer, even if it says only that there is no such email."""
        self.abandon(permit)
        if key is not None:
            self._throttling.pop(key, None)
        self._keys.clear()
        self._failures = self._openings = 0
        self._open_until = None

    def failure(self, permit: Permit, now: float, *, key: str | None = None) -> None:
        """Report a failure that is the dependency's fault; `key` names the one item requested, if there is one."""
        self.abandon(permit)
        if self._open_until is not None:
            if permit.probe:
                self._open(permit.started, now)
            return
        if key is not None:
            if key in self._keys:
                return
            self._keys.add(key)
        self._failures += 1
        if self._failures >= self._threshold:
            self._open(permit.started, now)

    def throttle(self, permit: Permit, now: float, seconds: float, *, key: str | None = None) -> bool:
        """Report an answer that asks for a pause; return whether the pause applies to all calls.

        It does not if the last answer for the same key asked for one, too: a real limit will show in other calls.
        """
        self.success(permit)
        if key is not None:
            if key in self._throttling:
                return False
            self._throttling[key] = None
            if len(self._throttling) > THROTTLING:
                del self._throttling[next(iter(self._throttling))]
        self._throttled_until = max(self._throttled_until, now + seconds)
        return True

    def abandon(self, permit: Permit) -> None:
        """Report that the caller gave up the call: it counts as neither, but a probe frees its place."""
        if permit.probe:
            self._probing = False

    def _open(self, started: float, now: float) -> None:
        self._openings += 1
        self._open_until = max(
            now, started + backoff(self._openings, base=self._base_s, cap=self._cap_s, rng=self._rng)
        )
        self._keys.clear()
        self._failures = 0
