"""Leadership by lease: of all actors that campaign for a name, one leads until it gives up or stops renewing.

A lease is a hint, not a lock: a process that was frozen may still believe that it leads, so what a leader writes is
guarded where it is written (storage/books.py, storage/tasks.py). Used by the listers and the task runner; a
subscription's leader manages its own lease.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import gevent

from engine import clock
from engine.errors import DependencyTrouble
from engine.pump import GIVE_BACK_S

TTL_S = 5.0
"""How long after a leader's death another can take over; a leader renews five times as often."""

STAND_BACK_S = 1.5
"""How long an actor that stands back does not ask for the lease; the others, which ask every second, come first."""


class Leases(clock.Clocked, Protocol):
    """The part of a mailbox store that keeps leases."""

    def lease(self, name: str, token: str, *, ttl: float) -> bool:
        """Take or renew a lease; False while another token holds it."""

    def give_up(self, name: str, token: str) -> None:
        """Release a lease at once."""


class Leadership:
    """A candidate for the lease `name`. `leads` is True while the lease is ours.

    Each candidate has its own `token`; `taken` is called when the lease has become ours.
    """

    def __init__(self, store: Leases, name: str, token: str, *, taken: Callable[[], None] = lambda: None) -> None:
        self.store, self.name, self.token, self.taken = store, name, token, taken
        self.leads = False
        self._over = False
        self._stood_back, self._back_at = False, 0.0
        self._failing_since: float | None = None

    def campaign(self) -> None:
        """Take and renew the lease until it is given up; runs in a greenlet of its own, however busy the actor is."""
        while not self._over:
            self.renew()
            gevent.sleep(TTL_S / 5)

    def renew(self) -> None:
        """Take the lease, or renew it."""
        if time.monotonic() < self._back_at:
            return
        try:
            leads = self.store.lease(self.name, self.token, ttl=TTL_S)
            if leads and not self.leads:
                clock.compare(self.store.time)  # a leader's successors rely on the times that it writes
        except DependencyTrouble:
            self.leads = self._stood_back = False  # without Redis there is nothing to lead
            return
        goes_on, self._stood_back = self.leads or self._stood_back, False
        self.leads = leads
        if self._over and leads:  # we gave up while waiting for the answer
            self.give_up()
        elif time.monotonic() < self._back_at and leads:  # or we stood back
            self.stand_back()
        elif leads and not goes_on:
            self._failing_since = None
            self.taken()

    def went_well(self) -> None:
        """Note that the leader's work made progress."""
        self._failing_since = None

    def failed(self, others: Callable[[], bool] = lambda: True) -> None:
        """Note that the leader's work failed.

        After GIVE_BACK_S without progress, stand back if `others` says that there is another candidate: the
        dependency may work for it.
        """
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        elif now - self._failing_since > GIVE_BACK_S and others():
            self.stand_back()

    def stand_back(self) -> None:
        """Let another candidate lead. If none takes over, this one soon continues as if it had led all the time."""
        self.leads, self._stood_back, self._back_at = False, True, time.monotonic() + STAND_BACK_S
        self._failing_since = None
        with suppress(DependencyTrouble):
            self.store.give_up(self.name, self.token)

    def give_up(self) -> None:
        """Let another candidate lead at once, and stop campaigning."""
        led, self.leads, self._over = self.leads, False, True
        if led:
            with suppress(DependencyTrouble):
                self.store.give_up(self.name, self.token)
