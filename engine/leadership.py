"""Leadership by lease: of all who campaign for the same name one leads, until it gives up or stops renewing.

A lease is a hint, not a lock: whoever was frozen may still believe in it for a moment, so what a leader writes is guarded where it is
written (storage/books.py, storage/tasks.py). Used by the lister of a source and by the task runner; a subscription's leader leases by itself.
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
"""A leader that dies is succeeded after so long; it renews five times as often."""

STAND_BACK_S = 1.5
"""For so long who stands back does not ask for the lease: the others, who ask each second, come first."""


class Leases(clock.Clocked, Protocol):
    """The part of a mailbox store that keeps leases."""

    def lease(self, name: str, token: str, *, ttl: float) -> bool:
        """Take or renew it; False while somebody else holds it."""

    def give_up(self, name: str, token: str) -> None:
        """Let it go at once."""


class Leadership:
    """`leads` is True while the lease `name` is ours; `token` is unique to whoever asks. `taken` is called when it has become ours."""

    def __init__(self, store: Leases, name: str, token: str, *, taken: Callable[[], None] = lambda: None) -> None:
        self.store, self.name, self.token, self.taken = store, name, token, taken
        self.leads = False
        self._over = False
        self._stood_back, self._back_at = False, 0.0
        self._failing_since: float | None = None

    def campaign(self) -> None:
        """Renew until it is given up: in a greenlet of its own, beside whatever its actor is busy with."""
        while not self._over:
            self.renew()
            gevent.sleep(TTL_S / 5)

    def renew(self) -> None:
        """Take the lease, or keep it."""
        if time.monotonic() < self._back_at:
            return
        try:
            leads = self.store.lease(self.name, self.token, ttl=TTL_S)
            if leads and not self.leads:
                clock.compare(self.store.time)  # by the times that a leader writes down its successors go
        except DependencyTrouble:
            self.leads = self._stood_back = False  # without Redis there is nothing to be led
            return
        goes_on, self._stood_back = self.leads or self._stood_back, False
        self.leads = leads
        if self._over and leads:  # it was given up while we waited for the answer
            self.give_up()
        elif time.monotonic() < self._back_at and leads:  # or we stood back
            self.stand_back()
        elif leads and not goes_on:
            self._failing_since = None
            self.taken()

    def went_well(self) -> None:
        """What the leader is there for has got on."""
        self._failing_since = None

    def failed(self, others: Callable[[], bool] = lambda: True) -> None:
        """It has not. After GIVE_BACK_S of that another shall lead, to which what is needed may be well, if `others` says that there is one."""
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        elif now - self._failing_since > GIVE_BACK_S and others():
            self.stand_back()

    def stand_back(self) -> None:
        """Let another lead, who may do better; where nobody does, it goes on soon as if it had led all the time."""
        self.leads, self._stood_back, self._back_at = False, True, time.monotonic() + STAND_BACK_S
        self._failing_since = None
        with suppress(DependencyTrouble):
            self.store.give_up(self.name, self.token)

    def give_up(self) -> None:
        """Let another lead at once, and campaign no more."""
        led, self.leads, self._over = self.leads, False, True
        if led:
            with suppress(DependencyTrouble):
                self.store.give_up(self.name, self.token)
