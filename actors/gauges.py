"""Measures what alerts need and nobody counts: queue, dead letters, leases, breaker, Redis, disk, database.

Runs every few seconds, once in each front. Each figure is measured by itself, so a dependency that is away leaves out
only its own figures. The results go out as events (actors/metrics.py turns them into gauges); /stats shows the same to
people.
"""

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from actors.bodies import CLASSIFY, FETCH
from actors.metrics import MEASURED
from engine import clock
from engine.actor import ServiceActor
from engine.errors import DependencyTrouble
from engine.events import Bus
from engine.mailbox import Depth
from storage.records import Stats

log = logging.getLogger(__name__)

EVERY_S = 5.0

Measure = Callable[[], Mapping[str, float]]


class Store(Protocol):
    """The part of the mailbox store that is measured (storage/redis_mailbox.py)."""

    def depths(self, mailbox: str) -> dict[str, Depth]:
        """Return lane → what waits there."""

    def held(self, lease: str) -> bool:
        """Return whether anybody holds this lease."""

    def memory(self) -> tuple[int, int]:
        """Return the bytes in use, and the limit (0: none)."""


class Gauges(ServiceActor):
    """`leases` should all be held; `folder` holds our data; `breaker_open` tells if calls to FakeMail are held back."""

    def __init__(
        self,
        *,
        name: str,
        bus: Bus,
        store: Store,
        stats: Callable[[float], Stats],
        database_bytes: Callable[[], int],
        breaker_open: Callable[[], bool],
        leases: tuple[str, ...],
        folder: Path,
        mailboxes: tuple[str, ...] = (FETCH, CLASSIFY),
        every: float = EVERY_S,
    ) -> None:
        super().__init__(name=name, kind="gauges", bus=bus)
        self.store, self.stats, self.database_bytes = store, stats, database_bytes
        self.breaker_open, self.leases, self.folder, self.every_s = breaker_open, leases, folder, every
        self.mailboxes = mailboxes

    def on_start(self) -> None:
        """Start measuring."""
        self.every(self.every_s, self.measure)

    def measure(self) -> None:
        """Take every measurement once."""
        measures: dict[str, Measure] = {
            "books": self._books,
            "queue": self._queue,
            "leases": self._leases,
            "redis": self._redis,
            "disk": self._disk,
            "fakemail": self._fakemail,
            "database": self._database,
        }
        for what, measure in measures.items():
            self.goes_on()  # each has time limits of its own, which add up while several dependencies do not answer
            try:
                self.bus.emit(MEASURED + what, **measure())
            except (DependencyTrouble, OSError) as trouble:
                log.debug("not measured: %s", trouble)

    def _books(self) -> dict[str, float]:
        found = self.stats(clock.now())
        return {"queued": found.queued, "retrying": found.retrying, "dead_letters": found.dead_letters}

    def _queue(self) -> dict[str, float]:
        ages = [0.0]
        for name in self.mailboxes:
            ages += [depth.oldest_age for depth in self.store.depths(name).values() if depth.messages]
            self.goes_on()
        return {"oldest_age": max(ages)}

    def _leases(self) -> dict[str, float]:
        missing = 0
        for lease in self.leases:
            missing += not self.store.held(lease)
            self.goes_on()
        return {"leaders_missing": missing}

    def _redis(self) -> dict[str, float]:
        used, most = self.store.memory()
        return {"redis_used": used, "redis_limit": most}

    def _disk(self) -> dict[str, float]:
        return {"disk_free": shutil.disk_usage(self.folder).free}

    def _fakemail(self) -> dict[str, float]:
        return {"breaker_open": float(self.breaker_open())}

    def _database(self) -> dict[str, float]:
        return {"database_bytes": self.database_bytes()}
