"""Values that many ask for at once: made once, kept for a moment, and never waited for by more than one maker.

Used by /stats, /health and the live hub's pushes, so that a hundred dashboards cost what one does.
"""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

import gevent
from gevent.lock import BoundedSemaphore

T = TypeVar("T")


class Cached(Generic[T]):
    """`get` gives the value, at most `seconds` old; its maker's errors go to whoever asked first, the next one tries again."""

    def __init__(self, seconds: float, make: Callable[[], T]) -> None:
        self._seconds = seconds
        self._make = make
        self._lock = BoundedSemaphore()
        self._made_at = float("-inf")
        self._value: T | None = None

    def get(self) -> T:
        """The value; made now when the last one is too old."""
        with self._lock:
            if time.monotonic() - self._made_at >= self._seconds or self._value is None:
                self._value = self._make()
                self._made_at = time.monotonic()
            return self._value


class Probe(Generic[T]):
    """A check that may hang: `latest` waits for it `patience` seconds at most, and never starts a second one beside it.

    The check returns its value or raises; `latest` gives (value, error), with TimeoutError where no answer came in time.
    """

    def __init__(self, check: Callable[[], T], *, keep: float, patience: float) -> None:
        self._check = check
        self._keep = keep
        self._patience = patience
        self._running: gevent.Greenlet[..., tuple[T | None, BaseException | None]] | None = None
        self._asked_at = float("-inf")

    def start(self) -> None:
        """Begin the check, unless one is under way or its answer is fresh."""
        fresh = time.monotonic() - self._asked_at < self._keep
        if self._running is None or (self._running.ready() and not fresh):
            self._asked_at = time.monotonic()
            self._running = gevent.spawn(self._outcome)

    def latest(self) -> tuple[T | None, BaseException | None]:
        """The outcome of the newest check."""
        self.start()
        running = self._running
        assert running is not None
        running.join(max(0.0, self._patience - (time.monotonic() - self._asked_at)))
        if running.value is not None:
            return running.value
        return None, TimeoutError(f"no answer within {self._patience:g} s")

    def _outcome(self) -> tuple[T | None, BaseException | None]:
        try:
            return self._check(), None
        except (Exception, gevent.Timeout) as error:  # noqa: BLE001  (the error is the outcome)
            return None, error
