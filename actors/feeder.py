"""Feeds the mailboxes from the books: open rows in the order in which they were opened, as far as the mailbox has room.

This is the only way in. Listings, due retries, replays and reconciled rows all become open rows with a new feed_seq,
and the script that appends them to the mailbox also moves the feeder's position. So any number of feeders may run at
once, and if Redis loses the positions, every open row is fed again from the books.
"""

from collections.abc import Collection, Mapping, Sequence

from gevent.event import Event

from actors.bodies import FetchBody, encode, fetch_mailbox
from actors.events import new_event
from engine import clock
from engine.actor import ServiceActor
from engine.events import Bus
from engine.failpoints import reach
from engine.mailbox import BACKGROUND, LANES, Depth, Envelope, MailboxStore, Room
from storage.books import Books
from storage.records import OpenRow, SourceState

BATCH = 1_000
FULL_S = 0.1
"""How soon to look again while rows wait for room, so that a first sync goes as fast as its mail is fetched."""

LOW_SHARE = 10
"""The low lane gets this fraction (one tenth) of the mailbox, so that a first sync leaves room for live mail."""


class Feeder(ServiceActor):
    """Feeds when the lister or the janitor rings its bell, and every `tick` seconds in case another node opened rows.

    `served` are the sources that are fetched here (None: all); the open rows of other sources stay in the books.
    """

    def __init__(
        self,
        *,
        name: str,
        bus: Bus,
        store: MailboxStore,
        books: Books,
        room: Room,
        bell: Event,
        tick: float = 0.5,
        served: Collection[str] | None = None,
    ) -> None:
        super().__init__(name=name, kind="feeder", bus=bus)
        self.store, self.books, self.room, self.bell, self.tick = store, books, room, bell, tick
        self.served = served
        self._short_of_room = False

    def on_start(self) -> None:
        """Start feeding at once."""
        # Only this loop may call `feed`: it reads `_short_of_room` between turns, which another call would overwrite.
        self.repeat(self.feed, self._rest)

    def _rest(self) -> None:
        self.bell.wait(FULL_S if self._short_of_room else self.tick)
        self.bell.clear()

    def feed(self) -> int:
        """Feed all sources until nothing is left or there is no room; return how many rows were fed.

        The lane with the fewest messages in the mailbox goes first, so that no lane starves another.
        """
        total = 0
        more = True
        while more:
            self._short_of_room = more = False
            for source in self._sources():
                waiting = self.store.depths(fetch_mailbox(source.name))
                positions = self.store.positions(feed_positions([source]))
                taken = 0
                for lane in sorted(LANES, key=lambda each: waiting[each].messages):
                    after = positions[feed_position(source, lane)]
                    fed = self._feed_lane(source, lane, self._room(lane, waiting, taken), after)
                    more = more or fed == BATCH
                    taken += fed
                    total += fed
                    self.count(fed)
                self.breathe()
        return total

    def _sources(self) -> list[SourceState]:
        return [each for each in self.books.sources() if self.served is None or each.name in self.served]

    def _feed_lane(self, source: SourceState, lane: str, room: int, after: int) -> int:
        """Feed one batch of a lane, so that sources and lanes take turns; return how many rows were fed."""
        if room <= 0:
            self._short_of_room = True
            return 0
        rows = self.books.open_rows(source.id, lane, after, min(room, BATCH))
        if not rows:
            return 0
        if len(rows) == room:  # there may be more
            self._short_of_room = True
        now = clock.now()
        envelopes = [_envelope(source, lane, row, now) for row in rows]
        events = _new_events(source, rows, now)
        reach("feed.read")
        moved = self.store.feed(
            fetch_mailbox(source.name),
            envelopes,
            position=feed_position(source, lane),
            expected=after,
            to=rows[-1].feed_seq,
            events=events,
        )
        if not moved:
            return 0  # another feeder was first
        reach("feed.fed")
        return len(rows)

    def _room(self, lane: str, waiting: Mapping[str, Depth], taken: int) -> int:
        """Return how many more messages a lane may add; other lanes have added `taken` since `waiting` was read."""
        messages = sum(depth.messages for depth in waiting.values()) + taken
        if sum(depth.bytes for depth in waiting.values()) >= self.room.bytes:
            return 0
        if lane == BACKGROUND:
            own = waiting[BACKGROUND].messages
            return min(self.room.messages // LOW_SHARE - own, self.room.messages - messages)
        return self.room.messages - messages


def feed_position(source: SourceState, lane: str) -> str:
    """Return the name under which the store keeps how far a lane of a source was fed."""
    return f"{source.name}:{lane}"


def feed_positions(sources: Sequence[SourceState]) -> list[str]:
    """Return the names of the positions of all lanes of these sources."""
    return [feed_position(source, lane) for source in sources for lane in LANES]


def are_copied(books: Books, positions: Mapping[str, int]) -> bool:
    """Return whether a position is beyond its source's counter.

    If so, these books are an older copy of those that Redis knows.
    """
    return any(
        max(positions.get(name, 0) for name in feed_positions([source])) > books.newest_seq(source.id)
        for source in books.sources()
    )


def _envelope(source: SourceState, lane: str, row: OpenRow, now: float) -> Envelope:
    times = {"listed": row.listed_at, "fed": now}
    if row.notified_at is not None:
        times["notified"] = row.notified_at
    body = encode(FetchBody(row.first_missing_at)) if row.first_missing_at is not None else b""
    return Envelope(
        source.name,
        row.key,
        ref=row.ref,
        generation=row.generation,
        feed_seq=row.feed_seq,
        attempts=row.attempts,
        lane=lane,
        times=times,
        body=body,
    )


def _new_events(source: SourceState, rows: Sequence[OpenRow], now: float) -> list[bytes]:
    """Return a `new` event for emails that are fed for the first time; retries and replays are not new."""
    new = [row.key for row in rows if row.is_new]
    return [new_event(source.name, new, now)] if new else []
