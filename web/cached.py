"""Values that many ask for at once: made once for all who wait, and never by more than one maker at a time.

Used by /stats, /health and the live hub's pushes, so that a hundred dashboards cost what one does.
"""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

import gevent
from gevent.lock import BoundedSemaphore

T = TypeVar("T")


class Shared(Generic[T]):
    """`get` gives a value whose making began after it was asked for, shared by all who wait for the next one.

    So nobody reads what is older than their question, and a crowd costs two makings, not one each.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = BoundedSemaphore()
        self._began_at = float("-inf")
        self._value: T | None = None

    def get(self) -> T:
        """The value. A maker's error goes to whoever made it; the next one tries again."""
        asked_at = time.monotonic()
        with self._lock:
            if self._value is None or self._began_at < asked_at:
                began_at = time.monotonic()
                self._value = self._make()
                self._began_at = began_at
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
