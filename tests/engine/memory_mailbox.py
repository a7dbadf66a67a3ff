"""The mailbox contract in memory, for simulating crashes: single-threaded, never waits, answers deterministically.

Used by tests and by the seeded simulation; a contract suite tests it side by side with storage/redis_mailbox.py
(tests/engine/test_mailbox_contract.py). Depends only on the clock that it is given; `wipe` loses what a wiped Redis
would lose.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from engine.lanes import QUARANTINE_TURN_S, quotas
from engine.mailbox import ALL_LANES, LANES, ONCE_S, QUARANTINE, Delivery, Depth, Envelope, Room, Settlement
from engine.names import process_of
from tests.engine.memory_log import MemoryLog

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Envelope).decode


@dataclass(slots=True)
class _Entry:
    packed: bytes
    since: float
    deaths: int = 0
    lone_deaths: int = 0
    holder: str | None = None


@dataclass(slots=True)
class _Duty:
    """Whose turn with the quarantine it is; see storage/scripts/take.lua."""

    consumer: str
    until: float
    rest: float
    served: bool = False


class MemoryMailboxes(MemoryLog):
    """A MailboxStore for one thread. `clock` returns seconds since the epoch; `log_bytes` limits the event log."""

    def __init__(
        self,
        *,
        rooms: Mapping[str, Room] | None = None,
        clock: Callable[[], float] = time.time,
        log_bytes: int = 64 * 1024 * 1024,
        turn: float = QUARANTINE_TURN_S,
    ) -> None:
        self.rooms = dict(rooms or {})
        self.turn = turn
        self._numbers = itertools.count(1)
        super().__init__(clock, log_bytes)

    def wipe(self) -> None:
        """Lose everything, as FLUSHALL does."""
        super().wipe()
        self._lanes: dict[tuple[str, str], dict[int, _Entry]] = {}
        self._known: dict[str, set[str]] = {}
        self._turns: dict[str, int] = {}
        self._duties: dict[str, _Duty] = {}
        self._once: dict[tuple[str, str], float] = {}
        self._over: dict[str, tuple[int, int]] = {}
        self._positions: dict[str, int] = {}

    def delete(self, mailbox: str, lane: str) -> None:
        """Lose one lane with all that is in hand, as by an operator's DEL."""
        self._lane(mailbox, lane).clear()

    def put(
        self, mailbox: str, envelopes: Sequence[Envelope], *, once: str | None = None, rank: int | None = None
    ) -> bool:
        """Append; return False if a repetition, or a message that another covers, adds nothing (see the contract)."""
        if once is not None and self._once.get((mailbox, once), 0.0) > self._clock():
            return False
        room = self.rooms.get(mailbox) if rank is not None else None
        lane = self._lane(mailbox, envelopes[0].lane) if envelopes else {}
        beyond = room is not None and len(lane) >= room.messages
        if beyond:
            number, highest = self._over.get(mailbox, (0, 0))
            if number in lane and (rank or 0) <= highest:
                return False
            lane.pop(number, None)
        if once is not None:
            self._once[mailbox, once] = self._clock() + ONCE_S
        for envelope in envelopes:
            self._add(mailbox, envelope.lane, _Entry(_encode(envelope), self._clock()))
        if beyond:
            self._over[mailbox] = max(lane), rank or 0
        return True

    def take(
        self, mailbox: str, consumer: str, *, count: int, max_bytes: int, block: float, into: Sequence[str] = ()
    ) -> list[Delivery]:
        """Take as the contract says, but never wait: `block` counts as 0."""
        del block
        if any(self._full(name) for name in into):
            return []
        self._known.setdefault(mailbox, set()).add(consumer)
        wait, alone = self._from_quarantine(mailbox, consumer, resting_too=False)
        if wait or alone:
            return alone
        turn = self._turns.get(mailbox, 0)
        self._turns[mailbox] = turn + count
        found = self._from_lanes(mailbox, consumer, quotas(count, turn), max_bytes)
        return found or self._from_quarantine(mailbox, consumer, resting_too=True)[1]

    def _full(self, mailbox: str) -> bool:
        room, depths = self.rooms.get(mailbox), self.depths(mailbox).values()
        if room is None:
            return False
        return sum(d.messages for d in depths) >= room.messages or sum(d.bytes for d in depths) >= room.bytes

    def _from_lanes(self, mailbox: str, consumer: str, wanted: dict[str, int], max_bytes: int) -> list[Delivery]:
        found: list[Delivery] = []
        left = sum(wanted.values())
        for lane, want in [*wanted.items(), *((lane, left) for lane in LANES)]:
            waiting = (number for number, entry in self._lane(mailbox, lane).items() if entry.holder is None)
            for number in itertools.islice(waiting, min(want, left)):
                if max_bytes <= 0:
                    break
                found.append(self._hand_out(mailbox, lane, number, consumer))
                left, max_bytes = left - 1, max_bytes - found[-1].size
        return found

    def _from_quarantine(self, mailbox: str, consumer: str, *, resting_too: bool) -> tuple[bool, list[Delivery]]:
        """Return whether this consumer has to wait for the quarantine, and the one message if it may have it."""
        lane = self._lane(mailbox, QUARANTINE)
        holders = [entry.holder for entry in lane.values() if entry.holder is not None]
        if holders or not lane:
            return any(process_of(holder) == process_of(consumer) for holder in holders), []
        now, duty = self._clock(), self._duties.get(mailbox)
        if duty is None or now >= duty.until:
            if duty is not None and now < duty.rest and not resting_too:
                return False, []
            duty = self._duties[mailbox] = _Duty(consumer, now + 2.5 * self.turn, now + 5 * self.turn)
        if duty.consumer != consumer:
            return process_of(duty.consumer) == process_of(consumer), []
        held = self.consumers(mailbox).items()
        if any(count and process_of(name) == process_of(consumer) for name, count in held):
            return True, []
        if not duty.served:
            duty.until, duty.rest, duty.served = now + self.turn, now + 2 * self.turn, True
        return False, [self._hand_out(mailbox, QUARANTINE, next(iter(lane)), consumer)]

    def pending(
        self, mailbox: str, consumer: str, *, count: int, after: Mapping[str, str] | None = None
    ) -> list[Delivery]:
        """Return what `consumer` holds, oldest first; one from quarantine only if nothing else is left."""
        seen = {lane: int((after or {}).get(lane, "0")) for lane in ALL_LANES}
        held = [
            (number, lane)
            for lane in ALL_LANES
            for number, entry in self._lane(mailbox, lane).items()
            if entry.holder == consumer and number > seen[lane]
        ]
        open_lanes = sorted(item for item in held if item[1] != QUARANTINE)
        chosen = open_lanes[:count] or sorted(held)[:1]
        return [self._hand_out(mailbox, lane, number, consumer) for number, lane in chosen]

    def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Acknowledge, forward and emit events; True where the message was still in hand under this entry."""
        results = []
        events: list[bytes] = []
        for settlement in settlements:
            lane = self._lane(settlement.delivery.mailbox, settlement.delivery.lane)
            entry = lane.get(int(settlement.delivery.entry))
            ours = entry is not None and entry.holder is not None
            results.append(ours)
            if ours:
                del lane[int(settlement.delivery.entry)]
                events += settlement.events
                if settlement.forward is not None:
                    self.put(settlement.forward[0], [settlement.forward[1]])
        self.tell(events)
        return results

    def release(self, mailbox: str, consumer: str, *, crashed: bool) -> int:
        """Give back what a dead consumer held, each as a new entry; count a death only if it `crashed`."""
        given = 0
        for lane in ALL_LANES:
            entries = self._lane(mailbox, lane)
            for number, entry in [*entries.items()]:
                if entry.holder != consumer:
                    continue
                del entries[number]
                given += 1
                lone = lane == QUARANTINE
                entry.holder, entry.since = None, self._clock()
                entry.deaths += crashed
                entry.lone_deaths += crashed and lone
                self._add(mailbox, QUARANTINE if crashed else lane, entry)
        return given

    def consumers(self, mailbox: str) -> dict[str, int]:
        """Return consumer → messages in hand."""
        held = dict.fromkeys(self._known.get(mailbox, ()), 0)
        for lane in ALL_LANES:
            for entry in self._lane(mailbox, lane).values():
                if entry.holder is not None:
                    held[entry.holder] = held.get(entry.holder, 0) + 1
        return held

    def forget(self, mailbox: str, consumer: str) -> bool:
        """Remove a consumer that holds nothing; return False if it holds something."""
        if self.consumers(mailbox).get(consumer):
            return False
        self._known.get(mailbox, set()).discard(consumer)
        return True

    def feed(
        self,
        mailbox: str,
        envelopes: Sequence[Envelope],
        *,
        position: str,
        expected: int,
        to: int,
        events: Sequence[bytes] = (),
    ) -> bool:
        """Move `position` and append, or do nothing if `position` is not as expected."""
        if self._positions.get(position, 0) != expected:
            return False
        self._positions[position] = to
        self.put(mailbox, envelopes)
        self.tell(events)
        return True

    def positions(self, names: Sequence[str]) -> dict[str, int]:
        """Return the feeder's positions with these names; 0 for those without one."""
        return {name: self._positions.get(name, 0) for name in names}

    def mailboxes(self, prefix: str) -> Iterator[set[str]]:
        """Yield the names of the mailboxes with this prefix, in one page."""
        yield {mailbox for (mailbox, _), entries in self._lanes.items() if entries and mailbox.startswith(prefix)}

    def remove(self, mailbox: str) -> None:
        """Forget a mailbox with all its messages."""
        for lane in ALL_LANES:
            self._lanes.pop((mailbox, lane), None)
        self._known.pop(mailbox, None)
        self._duties.pop(mailbox, None)

    def depths(self, mailbox: str) -> dict[str, Depth]:
        """Return lane → Depth."""
        found = {}
        for lane in ALL_LANES:
            entries = self._lane(mailbox, lane).values()
            oldest = next((self._clock() - entry.since for entry in entries), 0.0)
            held = sum(entry.holder is not None for entry in entries)
            found[lane] = Depth(len(entries), sum(len(entry.packed) for entry in entries), held, oldest)
        return found

    def refs(self, mailbox: str) -> Iterator[tuple[str, int, int]]:
        """Yield (source, ref, generation) of every message, in hand or not."""
        for lane in ALL_LANES:
            for entry in [*self._lane(mailbox, lane).values()]:
                envelope = _decode(entry.packed)
                yield envelope.source, envelope.ref, envelope.generation

    def peek(self, mailbox: str, count: int) -> list[Envelope]:
        """Return the newest messages, newest first, in hand or not, without taking them."""
        found = {number: entry for lane in ALL_LANES for number, entry in self._lane(mailbox, lane).items()}
        return [_decode(found[number].packed) for number in sorted(found, reverse=True)[:count]]

    def _lane(self, mailbox: str, lane: str) -> dict[int, _Entry]:
        return self._lanes.setdefault((mailbox, lane), {})

    def _add(self, mailbox: str, lane: str, entry: _Entry) -> None:
        self._lane(mailbox, lane)[next(self._numbers)] = entry

    def _hand_out(self, mailbox: str, lane: str, number: int, consumer: str) -> Delivery:
        entry = self._lane(mailbox, lane)[number]
        entry.holder = consumer
        envelope, size = _decode(entry.packed), len(entry.packed)
        return Delivery(mailbox, lane, str(number), envelope, size, entry.deaths, entry.lone_deaths)
