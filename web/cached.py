"""Values that many clients request at once: computed once for all who wait, and never by two greenlets at a time.

Used by /stats, /health and the live hub's pushes, so that a hundred dashboards cost as much as one.
"""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

import gevent
from gevent.lock import BoundedSemaphore

T = TypeVar("T")


class Shared(Generic[T]):
    """`get` returns a value whose computation began after the call, shared by all who wait for it.

    So no caller gets a value older than its request, and a crowd of callers costs two computations, not one each.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = BoundedSemaphore()
        self._began_at = float("-inf")
        self._value: T | None = None

    def get(self) -> T:
        """Return the value. An error goes to the caller whose turn it was to compute; the next caller tries again."""
        asked_at = time.monotonic()
        with self._lock:
            if self._value is None or self._began_at < asked_at:
                began_at = time.monotonic()
                self._value = self._make()
                self._began_at = began_at
            return self._value


class Probe(Generic[T]):
    """A check that may hang: `latest` waits at most `patience` seconds for it, and never runs two of them at a time.

    The check returns its value or raises; `latest` returns (value, error), with TimeoutError if it does not finish in
    time.
    """

    def __init__(self, check: Callable[[], T], *, keep: float, patience: float) -> None:
        self._check = check
        self._keep = keep
        self._patience = patience
        self._running: gevent.Greenlet[..., tuple[T | None, BaseException | None]] | None = None
        self._asked_at = float("-inf")

    def start(self) -> None:
        """Start the check, unless one is running or its outcome is still fresh."""
        fresh = time.monotonic() - self._asked_at < self._keep
        if self._running is None or (self._running.ready() and not fresh):
            self._asked_at = time.monotonic()
            self._running = gevent.spawn(self._outcome)

    def latest(self) -> tuple[T | None, BaseException | None]:
        """Return the outcome of the newest check."""
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
