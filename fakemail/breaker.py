"""A circuit breaker as plain arithmetic: the clock is passed in, nothing sleeps, nothing calls out.

FakeMailClient asks `admit` before each call and reports how it went. Closed: everything passes. Open: everything is
refused until a jittered back-off is over. Half-open: one call, the probe, passes; its success closes, its failure opens.

What opens it is `threshold` failures with no success between them. A failure may bear a key (the id of one email):
the same key counts once in such a row, so one email whose answer is garbage, asked for again and again while nothing
else is going on, never shuts the others out, and any success of another email clears the row.
"""

import random
from typing import NamedTuple

from engine.backoff import backoff
from engine.errors import DependencyTrouble


class Permit(NamedTuple):
    """Leave for one call, given back through `success`, `failure` or `abandon`."""

    started: float
    probe: bool


class Refused(Exception):
    """The call must not be made for `wait` more seconds; `throttled` says that FakeMail itself asked for the pause."""

    def __init__(self, wait: float, *, throttled: bool) -> None:
        super().__init__(f"refused for {wait:.1f} s")
        self.wait = wait
        self.throttled = throttled


class NotAsked(DependencyTrouble):
    """A call that was not made, since the breaker refused it: nothing is known of what it would have asked for."""


THROTTLING = 1_000
"""Of so many things it is known at most that they asked us to stay away."""


class CircuitBreaker:
    """Closed, open or half-open; times are seconds of any one monotonic clock.

    The back-off doubles from `base_s` to `cap_s`, times a random 0.5 to 1, and runs from the start of the call that
    failed: a probe that was itself a long wait need not be followed by another.
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
        self._throttling: dict[str, None] = {}  # what answered last that we shall stay away; the latest at the end

    def state(self, now: float) -> str:
        """`closed`, `open` or `half-open`, as /health tells it."""
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half-open"

    def admit(self, now: float, *, early: bool = False) -> Permit:
        """Leave to call now, or Refused; `early`: as the probe, before the back-off is over."""
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
        """The dependency answered as it should, if only to say that there is no such email."""
        self.abandon(permit)
        if key is not None:
            self._throttling.pop(key, None)
        self._keys.clear()
        self._failures = self._openings = 0
        self._open_until = None

    def failure(self, permit: Permit, now: float, *, key: str | None = None) -> None:
        """The call failed by the dependency's fault; `key` names the one thing asked for, where there is one."""
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
        """It answered, and asked us to stay away for so long; whether that is for all of us.

        It is not where the one thing asked for said so the last time too: a real limit will say it to the others as well.
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
        """The call was given up by its caller: no verdict, but a probe frees its place."""
        if permit.probe:
            self._probing = False

    def _open(self, started: float, now: float) -> None:
        self._openings += 1
        self._open_until = max(
            now, started + backoff(self._openings, base=self._base_s, cap=self._cap_s, rng=self._rng)
        )
        self._keys.clear()
        self._failures = 0
