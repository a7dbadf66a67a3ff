"""Announces that this process is alive, and publishes its state, from which /actors and /stats of every node are built.

The metrics from `measure` travel beside that state, since only the process's own node reads them
(commands/measuring.py). A process whose beat is older than the time to live counts as gone, and the janitors release
what it held.
"""

import itertools
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent

from engine import clock
from engine.actor import ServiceActor
from engine.errors import DependencyTrouble
from engine.events import Bus
from engine.mailbox import MailboxStore

log = logging.getLogger(__name__)

BEAT_S = 1.0
FIRST_BEATS, FIRST_BEAT_S = 20, 0.1
"""Beat faster at the start: while the other actors come up, the state changes within a second."""

TTL_S = 5.0

TELLING_SKEW_S = 5.0
"""A clock that differs from Redis's by more than this is reported in the log."""


class Heartbeat(ServiceActor):
    """Beats in its own greenlet, so that nothing the actor does can delay it."""

    def __init__(
        self,
        *,
        name: str,
        bus: Bus,
        store: MailboxStore,
        process: str,
        describe: Callable[[], dict[str, Any]],
        measure: Callable[[], bytes] = bytes,
    ) -> None:
        super().__init__(name=name, kind="heartbeat", bus=bus)
        self._told = 0.0
        self.store, self.process, self.describe_process, self.measure = store, process, describe, measure

    def on_start(self) -> None:
        """Start beating."""
        self.spawn(self._beat)

    def _beat(self) -> None:
        for number in itertools.count():
            try:
                info, metrics = self.describe_process(), self.measure()
                beat = partial(self.store.beat, self.process, info, ttl=TTL_S, metrics=metrics)
                self._tell_skew(clock.compare(beat))
            except DependencyTrouble as trouble:
                self.waiting(trouble)
            else:
                self.running()
                self.count(1)
            gevent.sleep(FIRST_BEAT_S if number < FIRST_BEATS else BEAT_S)

    def _tell_skew(self, ahead: float) -> None:
        if abs(ahead) < TELLING_SKEW_S:
            self._told = 0.0
        if abs(ahead - self._told) < TELLING_SKEW_S:
            return
        self._told = ahead
        away = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} that of Redis"
        log.warning("this machine's clock is %s: what nodes share goes by that one; set it right, by NTP say", away)
