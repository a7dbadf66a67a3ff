"""Reads the event log and hands each new entry to the live hub, once for all clients.

Each front has one, which reads the whole log.
"""

import logging
from collections.abc import Callable, Sequence

import gevent

from engine.actor import ServiceActor
from engine.backoff import backoff
from engine.errors import DependencyTrouble
from engine.events import Bus
from engine.failpoints import reach
from engine.mailbox import LogEntry, MailboxStore

log = logging.getLogger(__name__)

PAGE = 500
BLOCK = 2.0

Publish = Callable[[Sequence[LogEntry]], None]


class Broadcaster(ServiceActor):
    """Holds nothing durable: a client that missed events replays them from the log, after the last seq that it saw."""

    def __init__(
        self,
        *,
        name: str,
        bus: Bus,
        store: MailboxStore,
        publish: Publish,
        gap: Callable[[str], None],
        published: Callable[[], str | None] = lambda: None,
    ) -> None:
        super().__init__(name=name, kind="broadcaster", bus=bus)
        self.store, self.publish, self.gap, self.published = store, publish, gap, published
        self.last: str | None = None
        self._troubles = 0  # consecutive
        self._ended = False  # the last page reached the end of the log

    def on_start(self) -> None:
        """Start reading after the last `published` entry, so that a restart continues there, or else from now."""
        self.last = self.published()
        self.spawn(self._read)

    def _read(self) -> None:
        while not self.stop_asked.is_set():
            try:
                page = self.store.read_log(self.last, count=PAGE, block=BLOCK, ended=self._ended)
            except DependencyTrouble as trouble:
                self._ended = False  # the server may have lost the end of the log, which only a fresh look shows
                self.waiting(trouble)
                self._troubles += 1
                gevent.sleep(backoff(self._troubles, base=0.1, cap=2.0))
                continue
            self._troubles = 0
            self.running()
            if page.gap:
                log.warning("the event log has a gap: %s", page.gap)
                self.gap(page.gap)
            if page.entries:
                reach("broadcast.read")
                self.publish(page.entries)
                self.count(len(page.entries))
            self.last = page.last or self.last
            self._ended = len(page.entries) < PAGE
