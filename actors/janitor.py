"""Keeps the house: gives back what dead processes held, reopens due retries, reconciles mailboxes with books, indexes, folds, prunes.

Each duty is small, safe to repeat and safe to run on several nodes at once; each has its own pace (`on_start`). The books are the
truth: what they say is open and no mailbox holds is given a new feed_seq, and the feeder puts it in again.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

import gevent
from gevent.event import Event

from actors.bodies import CLASSIFY, FETCH, canary_mailbox, fetch_mailbox, look_mailbox
from actors.feeder import are_copied, feed_position, feed_positions
from actors.metrics import RECONCILED
from actors.pruning import EVERY_S, Pruning
from actors.silence import Silence
from engine import clock
from engine.actor import ServiceActor
from engine.events import Bus
from engine.failpoints import reach
from engine.mailbox import DEAD, LANES, MailboxStore
from engine.names import node_of, process_of
from engine.turns import A_TURN_S
from storage.books import Books
from storage.search import Search

log = logging.getLogger(__name__)

DUE_BATCH = 1_000
SUSPECT_AGE = 60.0
"""Rows fed longer ago than this and still open are looked for in the mailboxes."""
SUSPECT_BATCH = 2_000
HELD_AT_ONCE = 512
INDEX_BATCH, INDEX_S = 256, 0.5
TURN_S = 0.2
"""So long a backlog of one duty holds up the others at a time."""

FOLD_S = CANARIES_S = 600.0


class Janitor(ServiceActor):
    """One for each front. `bell` wakes the feeder; a short `suspect_age` hastens reconciling in tests."""

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
        silence: Silence | None = None,
    ) -> None:
        super().__init__(name=name, kind="janitor", bus=bus)
        self.store, self.books, self.search, self.pruning = store, books, search, pruning
        self.bell, self.suspect_age = bell, suspect_age
        self.silence = silence or Silence(store)
        self.positions: list[tuple[float, dict[str, int]]] = []
        self.books_id = ""
        self.index_lags = False
        self.gone_nodes: set[str] = set()

    def on_start(self) -> None:
        """Begin all duties."""
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
        """Retries whose time has come get a new place in the feed."""
        reopened = DUE_BATCH
        while reopened == DUE_BATCH:
            reach("due.before")
            reopened = self.books.due(clock.now(), DUE_BATCH)
            if reopened:
                reach("due.committed")
                self.bell.set()

    def release_the_dead(self) -> None:
        """What a process held that will not come back goes back to its mailbox; nobody is blamed for that."""
        held = {mailbox: self.store.consumers(mailbox) for mailbox in self.mailboxes()}
        holders = {process_of(consumer) for consumers in held.values() for consumer in consumers}
        gone = self.silence.gone(holders, time.monotonic())
        for mailbox, consumers in held.items():
            for consumer in consumers:
                if process_of(consumer) in gone:
                    self._release(mailbox, consumer)

    def _release(self, mailbox: str, consumer: str) -> None:
        released = self.store.release(mailbox, consumer, crashed=False)
        if released:
            log.warning("gave back %d messages of %s, which is gone, to mailbox %s", released, consumer, mailbox)
        self.store.forget(mailbox, consumer)

    def mailboxes(self) -> list[str]:
        """All mailboxes of the system."""
        names = [source.name for source in self.books.sources()]
        return [*self._carriers(names), *(look_mailbox(name) for name in names)]

    def _carriers(self, sources: Sequence[str]) -> list[str]:
        """The mailboxes that carry emails, in the direction in which they flow."""
        return [*dict.fromkeys([FETCH, *map(fetch_mailbox, sources)]), CLASSIFY, DEAD]

    def index(self) -> None:
        """Full text catches up in small slices; in several of them while there is much to do, and then in turn after turn."""
        self.index_lags, ends = False, time.monotonic() + TURN_S
        while self.search.index(INDEX_BATCH) == INDEX_BATCH:
            if time.monotonic() >= ends:
                self.index_lags = True
                return
            self.breathe()

    def note_positions(self) -> None:
        """Remember how far each lane was fed, and when: `fed more than a minute ago` needs no mark per email."""
        now = time.monotonic()
        current = self.store.positions(feed_positions(self.books.sources()))
        self.positions.append((now, current))
        self.positions = [each for each in self.positions if now - each[0] <= 2 * self.suspect_age + 10]
        self._check_copied(current)

    def _check_copied(self, positions: dict[str, int]) -> None:
        """A position beyond its source's counter: the database was put back under us. Every process then ends and starts anew."""
        if are_copied(self.books, positions):
            log.error(
                "these books are older than what Redis knows of them: they get a new name, all that is open is fed again"
            )
            self.books.renew_books_id(instead_of=self.books_id)

    def reconcile(self) -> None:
        """Open rows, fed over a minute ago, waiting for no retry: any that no mailbox holds is unaccounted, and is fed again."""
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
        """(ref, generation) of all that is in the mailboxes, which may be many and far away: looking through them is no hang."""
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
        """(ref, generation) → source."""
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
        """What only the last hour needs."""
        self.books.forget_histograms(clock.now())

    def fold(self) -> None:
        """Counters of processes that are gone become one shard's, and so do old counts: what is read does not grow with restarts."""
        writers, ends = self.store.living(), time.monotonic() + TURN_S
        while self.books.fold(writers, clock.now()) and time.monotonic() < ends:
            self.breathe()

    def forget_canaries(self) -> None:
        """The mailboxes of canaries whose nodes were gone at the last look and are still: nodes may draw a new name at each start."""
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
        self.gone_nodes = gone

    def prune(self) -> None:
        """What is kept for some days only, by the settings."""
        if self.pruning is not None:
            self.pruning.turn(self.breathe)
