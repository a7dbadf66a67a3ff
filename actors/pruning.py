"""Deletes what is older than the KEEP_* settings, a few slices per turn so nothing waits, and frees disk space."""

import logging
from collections.abc import Callable
from typing import Protocol

from actors.metrics import PRUNED
from engine import clock
from engine.events import Bus
from storage.retention import KINDS, Keep, Retention, Slice

log = logging.getLogger(__name__)

EVERY_S = 60.0
SLICES_A_TURN = 40
EVENTS_A_SLICE = 50


class Log(Protocol):
    """The part of the event log that is pruned (storage/event_log.py)."""

    def forget_events(self, before: float, limit: int) -> int:
        """Forget up to `limit` entries from before a time; return how many."""


class Pruning:
    """Used by the janitor of each front; pruning on several nodes at once does no harm."""

    def __init__(self, retention: Retention, events: Log, keep: Keep, bus: Bus) -> None:
        self.retention, self.events, self.keep, self.bus = retention, events, keep, bus

    def turn(self, breathe: Callable[[], None]) -> dict[str, int]:
        """Delete what is due; return kind → how much."""
        due = self.keep.before(clock.now())
        forgotten = {kind: self._forget(kind, before, breathe) for kind, before in due.items()}
        self.retention.give_back()
        for kind, count in forgotten.items():
            if count:
                self.bus.emit(PRUNED, kind=kind, count=count)
                log.info("pruned %d of %s", count, kind)
        return forgotten

    def _forget(self, kind: str, before: float, breathe: Callable[[], None]) -> int:
        count = 0
        for _ in range(SLICES_A_TURN):
            done = self._slice(kind, before)
            count += done.forgotten
            breathe()
            if not done.more:
                break
        return count

    def _slice(self, kind: str, before: float) -> Slice:
        if kind in KINDS:
            return self.retention.slice(kind, before)
        gone = self.events.forget_events(before, EVENTS_A_SLICE)
        return Slice(gone, more=gone == EVENTS_A_SLICE)
