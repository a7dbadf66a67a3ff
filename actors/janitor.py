"""Does the housekeeping: releases what dead processes held, reopens due retries, reconciles, indexes, folds, prunes.

Each duty is small, safe to repeat and safe to run on several nodes at once, and has its own interval (`on_start`). The
books are the truth: a row that they call open and that is in no mailbox gets a new feed_seq, and the feeder feeds it
again.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

import gevent
from gevent.event import Event

from actors.bodies import CLASSIFY, FETCH, canary_mailbox, fetch_mailbox, look_mailbox
from actors.failure_detector import FailureDetector
from actors.feeder import are_copied, feed_position, feed_positions
from actors.metrics import RECONCILED
from actors.pruning import EVERY_S, Pruning
from engine import clock
from engine.actor import ServiceActor
from engine.events import RELEASED, Bus
from engine.failpoints import reach
from engine.mailbox import DEAD, LANES, MailboxStore
from engine.names import node_of, process_of
from engine.turns import A_TURN_S
from storage.books import Books
from storage.search import Search

log = logging.getLogger(__name__)

DUE_BATCH = 1_000
SUSPECT_AGE = 60.0
"""Rows that were fed longer ago than this and are still open are looked for in the mailboxes."""
SUSPECT_BATCH = 2_000
HELD_AT_ONCE = 512
INDEX_BATCH, INDEX_S = 256, 0.5
BACKLOG_S = 0.2
"""How long the backlog of one duty may hold up the other duties at a time."""

FOLD_S = CANARIES_S = 600.0


class Janitor(ServiceActor):
    """Runs once in each front. `bell` wakes the feeder; tests set a short `suspect_age` to reconcile sooner."""

    def __init__(
        self,
        *,
        name: str,
        bus: Bus,
        store: MailboxStore,
        books: Books,
        search: Search,
        bell: Event,
        pruning: Pruning | None = None,
        suspect_age: float = SUSPECT_AGE,
        detector: FailureDetector | None = None,
    ) -> None:
        super().__init__(name=name, kind="janitor", bus=bus)
        self.store, self.books, self.search, self.pruning = store, books, search, pruning
        self.bell, self.suspect_age = bell, suspect_age
        self.detector = detector or FailureDetector(store)
        self.positions: list[tuple[float, dict[str, int]]] = []
        self.books_id = ""
        self.index_lags = False
        self.gone_nodes: set[str] = set()

    def on_start(self) -> None:
        """Start all duties."""
        self.books_id = self.books.books_id()
        duties: Sequence[tuple[float, Callable[[], None]]] = (
            (0.25, self.reopen_due),
            (0.5, self.release_the_dead),
            (min(60.0, self.suspect_age), self.reconcile),
            (min(5.0, self.suspect_age / 2), self.note_positions),
            (3600.0, self.forget_histograms),
            (FOLD_S, self.fold),
            (CANARIES_S, self.forget_canaries),
            (EVERY_S, self.prune),
        )
        for seconds, duty in duties:
            self.every(seconds, duty)
        self.repeat(self.index, lambda: gevent.sleep(A_TURN_S if self.index_lags else INDEX_S))

    def reopen_due(self) -> None:
        """Put retries that are due back into the feed."""
        reopened = DUE_BATCH
        while reopened == DUE_BATCH:
            reach("due.before")
            reopened = self.books.due(clock.now(), DUE_BATCH)
            if reopened:
                reach("due.committed")
                self.bell.set()
            self.goes_on()

    def release_the_dead(self) -> None:
        """Return to its mailbox what dead processes held; no message is blamed for their end."""
        held = {}
        for mailbox in self.mailboxes():
            held[mailbox] = self.store.consumers(mailbox)
            self.goes_on()
        holders = {process_of(consumer) for consumers in held.values() for consumer in consumers}
        gone = self.detector.gone(holders, time.monotonic())
        for mailbox, consumers in held.items():
            for consumer in consumers:
                if process_of(consumer) in gone:
                    self._release(mailbox, consumer)
                    self.goes_on()

    def _release(self, mailbox: str, consumer: str) -> None:
        released = self.store.release(mailbox, consumer, crashed=False)
        if released:
            log.warning("gave back %d messages of %s, which is gone, to mailbox %s", released, consumer, mailbox)
            self.bus.emit(RELEASED, mailbox=mailbox, consumer=consumer, count=released)
        self.store.forget(mailbox, consumer)

    def mailboxes(self) -> list[str]:
        """Return the names of all mailboxes of the system."""
        names = [source.name for source in self.books.sources()]
        return [*self._carriers(names), *(look_mailbox(name) for name in names)]

    def _carriers(self, sources: Sequence[str]) -> list[str]:
        """Return the mailboxes that carry emails, in the order in which emails pass them."""
        return [*dict.fromkeys([FETCH, *map(fetch_mailbox, sources)]), CLASSIFY, DEAD]

    def index(self) -> None:
        """Index text in small slices; while there is a backlog, several per turn and no rest between turns."""
        self.index_lags, ends = False, time.monotonic() + BACKLOG_S
        while self.search.index(INDEX_BATCH) == INDEX_BATCH:
            if time.monotonic() >= ends:
                self.index_lags = True
                return
            self.breathe()

    def note_positions(self) -> None:
        """Record how far each lane has been fed and when, so that no row needs a mark to tell when it was fed."""
        now = time.monotonic()
        current = self.store.positions(feed_positions(self.books.sources()))
        self.positions.append((now, current))
        self.positions = [each for each in self.positions if now - each[0] <= 2 * self.suspect_age + 10]
        self._check_copied(current)

    def _check_copied(self, positions: dict[str, int]) -> None:
        """Rename the books if a position is beyond its source's counter: an older copy was then restored.

        Every process then exits and starts again.
        """
        if are_copied(self.books, positions):
            log.error(
                "these books are older than what Redis knows of them: they get a new name, all that is open is fed again"
            )
            self.books.renew_books_id(instead_of=self.books_id)

    def reconcile(self) -> None:
        """Feed again every row that was fed over a minute ago, is open, waits for no retry and is in no mailbox."""
        old = self._positions_before(time.monotonic() - self.suspect_age)
        suspects = self._suspects(old)
        missing: dict[tuple[int, int], str] = {}
        if suspects:
            names = [source.name for source in self.books.sources()]
            held = self._held(names)
            still = self._suspects(old)
            missing = {each: source for each, source in suspects.items() if each not in held and each in still}
        self.books.set_unaccounted(Counter(missing.values()), clock.now())
        self.bus.emit(RECONCILED, suspects=len(suspects), unaccounted=len(missing))
        if missing:
            log.error("%d emails were in no mailbox: fed again from the books", len(missing))
            reach("refeed.before")
            self.books.refeed(sorted(missing))
            reach("refeed.committed")
            self.bell.set()

    def _held(self, sources: Sequence[str]) -> set[tuple[int, int]]:
        """Return (ref, generation) of everything in the mailboxes; that may take long, so report progress."""
        held: set[tuple[int, int]] = set()
        for mailbox in self._carriers(sources):
            for number, (_, ref, generation) in enumerate(self.store.refs(mailbox)):
                held.add((ref, generation))
                if number % HELD_AT_ONCE == 0:
                    self.breathe()
        return held

    def _positions_before(self, moment: float) -> dict[str, int]:
        older = [positions for at, positions in self.positions if at <= moment]
        return older[-1] if older else {}

    def _suspects(self, positions: dict[str, int]) -> dict[tuple[int, int], str]:
        """Return (ref, generation) → source of the rows to look for."""
        found: dict[tuple[int, int], str] = {}
        for source in self.books.sources():
            for lane in LANES:
                after, up_to = 0, positions.get(feed_position(source, lane), 0)
                while up_to and (page := self.books.suspects(source.id, lane, up_to, after, SUSPECT_BATCH)):
                    found.update(dict.fromkeys(page, source.name))
                    after = page[-1][0]
                    self.breathe()
        return found

    def forget_histograms(self) -> None:
        """Forget histograms that are over an hour old."""
        self.books.forget_histograms(clock.now())

    def fold(self) -> None:
        """Merge old counts and the counters of processes that are gone: restarts must not slow down reading."""
        writers, ends = self.store.living(), time.monotonic() + BACKLOG_S
        while self.books.fold(writers, clock.now()) and time.monotonic() < ends:
            self.breathe()

    def forget_canaries(self) -> None:
        """Remove the canary mailboxes of nodes that were gone both at the last check and now.

        Nodes may choose a new name at each start.
        """
        prefix = canary_mailbox("")
        mailboxes: dict[str, str] = {}
        for page in self.store.mailboxes(prefix):
            mailboxes.update((each.removeprefix(prefix), each) for each in page)
            self.breathe()
        silent = sorted(mailboxes.keys() - set(map(node_of, self.store.living())))
        launchers = self.store.launchers(silent)
        gone = {node for node in silent if not launchers.get(node)}
        for node in sorted(gone & self.gone_nodes):
            self.store.remove(mailboxes[node])
            self.goes_on()
        self.gone_nodes = gone

    def prune(self) -> None:
        """Delete what has been kept for as long as the KEEP_* settings say."""
        if self.pruning is not None:
            self.pruning.turn(self.breathe)
