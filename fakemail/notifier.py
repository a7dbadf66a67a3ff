"""Notifies the simulator's subscribers of new emails: one greenlet and one short queue for each.

Used by simulator.py. A notification says only that there may be something new, so for a subscriber that is slow or away
the queue shrinks to the newest one. It is retried with back-off for about five minutes; after that, the next email
causes the next try.
"""

import heapq
import random
import time
from collections.abc import Callable
from secrets import token_hex
from typing import NamedTuple

import gevent
import msgspec
from gevent.event import Event

from engine.backoff import backoff
from fakemail.faults import Faults
from fakemail.signed_post import SignedPost
from fakemail.transport import Resolve, Timeouts, TransportError

QUEUE_LIMIT = 64
MAX_TRIES = 60
_BACKOFF_S, _BACKOFF_CAP_S = 0.25, 5.0
_TIMEOUTS = Timeouts(connect_s=2.0, read_s=10.0, total_s=15.0)


class _Message(NamedTuple):
    due: float  # time.monotonic()
    number: int
    history_id: int
    msg_id: str


class Target:
    """One webhook URL, its queue and its greenlet. Raises ValueError if it is not an http or https URL."""

    def __init__(self, url: str, secrets: Callable[[], tuple[str, ...]], resolve: Resolve | None = None) -> None:
        self.url = url
        self.delivered = 0
        if not (url.isascii() and url.isprintable()) or " " in url:
            raise ValueError("it must be printable ASCII without spaces")
        self._post = SignedPost(url, _TIMEOUTS, resolve)
        self._secrets = secrets
        self._queue: list[_Message] = []
        self._changed = Event()
        self._failures = 0
        self._number = 0
        self._greenlet = gevent.spawn(self._run)

    def push(self, history_id: int, delays: list[float]) -> None:
        """Queue a notification of `history_id` for each delay (seconds)."""
        now, msg_id = time.monotonic(), f"msg_{history_id}_{token_hex(8)}"
        for delay in delays:
            self._number += 1
            heapq.heappush(self._queue, _Message(now + delay, self._number, history_id, msg_id))
        if len(self._queue) > QUEUE_LIMIT:
            self._shrink(self._queue[0].due)
        self._changed.set()

    def clear(self) -> None:
        """Drop all queued notifications."""
        self._queue.clear()

    def stop(self) -> None:
        """End the greenlet and close the connection."""
        self._greenlet.kill()
        self._post.close()

    def _run(self) -> None:
        while True:
            message = self._next()
            try:
                self._deliver(message)
            except TransportError:
                self._failed(message)
            else:
                self._failures = 0
                self.delivered += 1

    def _next(self) -> _Message:
        while True:
            self._changed.clear()
            wait = self._queue[0].due - time.monotonic() if self._queue else None
            if wait is not None and wait <= 0:
                return heapq.heappop(self._queue)
            self._changed.wait(wait)

    def _failed(self, message: _Message) -> None:
        self._failures += 1
        if self._failures >= MAX_TRIES:
            self._failures = 0
            self._queue.clear()
            return
        heapq.heappush(self._queue, message)
        self._shrink(time.monotonic() + backoff(self._failures, base=_BACKOFF_S, cap=_BACKOFF_CAP_S))

    def _shrink(self, due: float) -> None:
        newest = max(self._queue, key=lambda message: message.number)
        self._queue[:] = [newest._replace(due=due)]

    def _deliver(self, message: _Message) -> None:
        """Send one POST; raises TransportError unless the answer is a 2xx."""
        body = msgspec.json.encode({"history_id": message.history_id})
        answer = self._post.send(message.msg_id, time.time(), body, self._secrets()[:1])
        if not 200 <= answer.status < 300:
            raise TransportError(f"status {answer.status}")


class Notifier:
    """All subscribers of one account.

    The first of `secrets`, which may change at any time, signs. `resolve` says which hosts may be called.
    """

    def __init__(self, secrets: tuple[str, ...] = (), resolve: Resolve | None = None) -> None:
        self.secrets = secrets
        self._resolve = resolve
        self._subscribers: dict[str, Target] = {}
        self._dice = random.Random()

    @property
    def urls(self) -> list[str]:
        """The webhook URLs of all subscribers."""
        return sorted(self._subscribers)

    def add(self, url: str) -> None:
        """Notify `url` from now on; raises ValueError if it is not an http or https URL."""
        if url not in self._subscribers:
            self._subscribers[url] = Target(url, lambda: self.secrets, self._resolve)

    def announce(self, history_id: int, faults: Faults) -> None:
        """Notify all subscribers that the account has reached `history_id`."""
        for subscriber in self._subscribers.values():
            if delays := faults.deliveries_s(self._dice):
                subscriber.push(history_id, delays)

    def clear(self) -> None:
        """Drop all queued notifications of all subscribers."""
        for subscriber in self._subscribers.values():
            subscriber.clear()

    def stop(self) -> None:
        """Stop all greenlets and remove all subscribers."""
        for subscriber in self._subscribers.values():
            subscriber.stop()
        self._subscribers.clear()
