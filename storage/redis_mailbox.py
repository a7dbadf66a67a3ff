"""The mailboxes on Redis streams: what engine/mailbox.py promises, each move one atomic script (scripts/*.lua).

Used by the pump (engine/pump.py), the mailbox actors, the feeder and the janitor. The key layout stands in redis_keys.py; the event log
and the signs of life are the base classes in event_log.py and redis_presence.py. Relies on one group over all nodes and on entries
getting a new id whenever they change hands, which makes every late acknowledgement void.
"""

import logging
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from gevent.lock import BoundedSemaphore

from engine.lanes import TURN_S, quotas
from engine.logs import Folded
from engine.mailbox import ALL_LANES, LANES, ONCE_S, QUARANTINE, VERSION, Delivery, Depth, Envelope, Room, Verdict
from engine.names import process_of
from engine.turns import parts
from storage.event_log import RedisEventLog
from storage.redis_keys import GROUP
from storage.redis_packing import LANE_NUMBER, pack_envelopes, pack_one, pack_verdicts
from storage.redis_presence import RedisPresence

FULL_POLL = 0.05  # seconds between two looks while there is no room downstream, or a message has to be alone
SLICE = 500  # messages a script appends, settles or lists at most: a few milliseconds of the server's time
SLICE_BYTES = 4 * 1024 * 1024  # and of what it hands on: within the socket's time limit over a slow link too
RELEASE_SLICE = 200
SCAN_SLICE = 1000
REFS_SLICE = 32  # whole emails, for three numbers of each
LEFT_S = 0.2  # a pause after messages that only newer workers understand, so that older ones do not pass them round and round

log = logging.getLogger(__name__)

_decode = msgspec.msgpack.Decoder(Envelope).decode


class _Ref(msgspec.Struct, rename={"source": "s", "ref": "r", "generation": "g"}):
    """The part of an Envelope that `refs` needs."""

    source: str
    ref: int = 0
    generation: int = 0


class _Version(msgspec.Struct, rename={"version": "v"}):
    """The part of an Envelope by which one is known that a newer program wrote."""

    version: int = VERSION


_decode_version = msgspec.msgpack.Decoder(_Version).decode
_decode_ref = msgspec.msgpack.Decoder(_Ref).decode


class _Want(msgspec.Struct, frozen=True):
    """Who takes from which mailbox, how much, and what has to have room for what comes of it."""

    mailbox: str
    consumer: str
    count: int
    max_bytes: int
    into: Sequence[str]


class RedisMailboxes(RedisEventLog, RedisPresence):
    """A MailboxStore on Redis 7.0 or Valkey 7.2, and newer. Safe for any number of greenlets and processes.

    `namespace` is the books' id; `rooms` holds the limits of mailboxes (none: unlimited). Entries that somebody else
    deleted or spoilt in our hands are dropped: the books' reconciling brings their messages back.
    """

    def __init__(
        self, url: str, *, namespace: str, rooms: Mapping[str, Room], turn: float = TURN_S, **options: Any
    ) -> None:
        super().__init__(url, namespace=namespace, **options)
        self.rooms = dict(rooms)
        self.turn = turn
        self._left = Folded(log, 60.0, first=1)
        self._turns: dict[str, int] = {}
        self._waiters: dict[str, BoundedSemaphore] = {}

    def put(
        self, mailbox: str, envelopes: Sequence[Envelope], *, once: str | None = None, rank: int | None = None
    ) -> bool:
        """Append durably. Without `once` in slices, so a lost reply may leave a part of them: repeating makes duplicates."""
        block = self.keys.block(mailbox)
        room = self.rooms.get(mailbox) if rank is not None else None
        first = (ONCE_S * 1000, room.messages if room else 0, rank or 0)
        if once is not None:
            keys = (*block, self.keys.once(mailbox, once))
            return bool(self._run("put", keys, [*first, *pack_envelopes(envelopes)]))
        put = [
            self._run("put", block, [*first, *pack_envelopes(part)])
            for part in parts(envelopes, lambda envelope: len(envelope.body), SLICE, SLICE_BYTES)
        ]
        return all(put)

    def take(
        self, mailbox: str, consumer: str, *, count: int, max_bytes: int, block: float, into: Sequence[str] = ()
    ) -> list[Delivery]:
        """As the contract says; after waiting for the first message it may be one of each lane even if `count` is less.

        `max_bytes` is passed by fifteen messages at the most. Consumers are named "node/process/slot".
        """
        want = _Want(mailbox, consumer, count, max_bytes, into)
        deadline = time.monotonic() + block
        while True:
            state, found = self._take_now(want, but=0)
            left = deadline - time.monotonic()
            if not found and left > 0 and state == b"empty":
                found = self._wait_for_some(want, deadline)
            elif not found and left > 0:
                time.sleep(min(left, FULL_POLL))
            if found or left <= 0:
                return found

    def _take_now(self, want: _Want, *, but: int) -> tuple[bytes, list[Delivery]]:
        """Take without waiting, `but` so many fewer than wanted; and take.lua's word for how it went."""
        mailbox, count = want.mailbox, want.count - but
        turn = self._turns.setdefault(mailbox, random.randrange(1 << 16))
        self._turns[mailbox] = turn + count
        keys = [*self.keys.block(mailbox), self.keys.duty(mailbox)]
        args: list[Any] = [
            want.consumer,
            process_of(want.consumer),
            want.max_bytes,
            *quotas(count, turn).values(),
            int(self.turn * 1000),
        ]
        for name in want.into:
            room = self.rooms.get(name)
            if room is not None:
                keys += self.keys.block(name)
                args += (room.messages, room.bytes)
        state, *flat = self._run("take", keys, args)
        deaths = map(int, flat[:2]) if state == b"lone" else ()
        return state, self._deliveries(mailbox, flat[2:] if deaths else flat, *deaths)

    def _wait_for_some(self, want: _Want, deadline: float) -> list[Delivery]:
        """Wait for the first message, and take what came with it.

        One at a time waits here: each who waits is given one message, which would make batches of one of what one could take.
        """
        place = self._waiters.setdefault(want.mailbox, BoundedSemaphore())
        if not place.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return []
        try:
            left = min(deadline - time.monotonic(), self.BLOCK_PIECE)
            found = self._wait_for_one(want, left) if left > 0 else []
            if not found:
                return []
            state, more = self._take_now(want, but=min(len(found), want.count))
            if state == b"alone":
                # Our process got its lone message while we waited at the server, which knows no such rule.
                self.release(want.mailbox, want.consumer, crashed=False)
                return []
            return found + more
        finally:
            place.release()

    def _wait_for_one(self, want: _Want, seconds: float) -> list[Delivery]:
        """Wait at the server for the first message: the one of all waiting consumers that it wakes gets it."""
        lanes = self.keys.block(want.mailbox)[: len(LANES)]
        milliseconds = max(1, int(seconds * 1000))
        command = ("XREADGROUP", "GROUP", GROUP, want.consumer, "COUNT", 1, "BLOCK", milliseconds, "STREAMS")
        reply = self._wait(*command, *lanes, *(">" for _ in lanes))
        flat: list[Any] = []
        for stream, entries in sorted((reply or {}).items()):
            for entry, fields in entries[0]:
                flat += (lanes.index(stream.decode()) + 1, entry, fields.get(b"e", b""))
        return self._deliveries(want.mailbox, flat)

    def pending(
        self, mailbox: str, consumer: str, *, count: int, after: Mapping[str, str] | None = None
    ) -> list[Delivery]:
        """As the contract says. One from quarantine comes alone, after all others are settled or passed by `after`."""
        seen = after or {}
        starts = [seen.get(lane, "0") for lane in ALL_LANES]
        deaths, lone_deaths, *flat = self._run("pending", self.keys.block(mailbox), [consumer, count, *starts])
        held = self._deliveries(mailbox, flat, int(deaths), int(lone_deaths))
        held.sort(key=lambda delivery: _age_order(delivery.entry))
        return held[:count]

    def settle(self, verdicts: Sequence[Verdict]) -> list[bool]:
        """As the contract says; slices of 500, or 4 MiB, are atomic each. After a lost reply a repetition reads False: it had happened."""
        results: list[bool] = []
        for part in parts(verdicts, _handed_on, SLICE, SLICE_BYTES):
            packed = pack_verdicts(part)
            blocks = (key for mailbox in packed.mailboxes for key in self.keys.block(mailbox))
            lost = self._run("settle", [*self.keys.log, *blocks], [*self.log_args(), *packed.args])
            ours = [True] * len(part)
            for nth in lost:
                ours[packed.order[nth - 1]] = False
            results += ours
        return results

    def release(self, mailbox: str, consumer: str, *, crashed: bool) -> int:
        """As the contract says, in slices, each atomic; a release cut short is simply done again.

        There is no XAUTOCLAIM beside it: that goes by age and keeps the id, so that a slow owner could still acknowledge
        what another works on. Here the owner is known to be gone, and its ids die with it.
        """
        given = 0
        while True:
            moved, dropped = self._run("release", self.keys.block(mailbox), [consumer, int(crashed), RELEASE_SLICE])
            given += int(moved)
            if not moved and not dropped:
                return given

    def consumers(self, mailbox: str) -> dict[str, int]:
        """Consumer → messages in hand, of all nodes."""
        held: dict[str, int] = {}
        flat = iter(self._run("consumers", self.keys.block(mailbox), []))
        for name, count in zip(flat, flat, strict=True):
            held[name.decode()] = held.get(name.decode(), 0) + count
        return held

    def forget(self, mailbox: str, consumer: str) -> bool:
        """Remove a consumer that holds nothing; False while it does."""
        return bool(self._run("forget", self.keys.block(mailbox), [consumer]))

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
        """As the contract says, in one script: bring about 1,000 envelopes at most. False after a lost reply may mean ours."""
        keys = [*self.keys.log, self.keys.positions, *self.keys.block(mailbox)]
        args = [*self.log_args(), position, expected, to, len(envelopes), *pack_envelopes(envelopes), *events]
        return bool(self._run("feed", keys, args))

    def positions(self, names: Sequence[str]) -> dict[str, int]:
        """The feeder's positions of those names, 0 where there is none."""
        found = self._call("HMGET", self.keys.positions, *names) if names else []
        return {name: int(position or 0) for name, position in zip(names, found, strict=True)}

    def mailboxes(self, prefix: str) -> Iterator[set[str]]:
        """As the contract says, by SCAN: one that has never been read from nor written to is not there."""
        cursor: int | None = None
        while cursor != 0:
            cursor, keys = self._call("SCAN", cursor or 0, "MATCH", self.keys.lanes(prefix), "COUNT", SCAN_SLICE)
            found = {self.keys.mailbox_of(key.decode()) for key in keys}
            yield {mailbox for mailbox in found if mailbox is not None}

    def remove(self, mailbox: str) -> None:
        """As the contract says; a reader that is blocked in it makes it anew."""
        self._call("DEL", *self.keys.block(mailbox), self.keys.duty(mailbox))

    def depths(self, mailbox: str) -> dict[str, Depth]:
        """Lane → Depth, all four of one instant."""
        seconds, microseconds, *flat = self._run("depths", self.keys.block(mailbox), [])
        now = int(seconds) + int(microseconds) / 1e6
        found = {}
        for lane in ALL_LANES:
            messages, size, in_hand, oldest, *flat = flat
            age = max(0.0, now - int(oldest.partition(b"-")[0]) / 1000) if oldest else 0.0
            found[lane] = Depth(messages=messages, bytes=max(0, int(size)), in_hand=in_hand, oldest_age=age)
        return found

    def refs(self, mailbox: str) -> Iterator[tuple[str, int, int]]:
        """As the contract says: lanes first, quarantine last, since that is the way messages go; new entries are met too."""
        for stream in self.keys.block(mailbox)[: len(ALL_LANES)]:
            start = "-"
            while page := self._call("XRANGE", stream, start, "+", "COUNT", REFS_SLICE):
                for _, fields in page:
                    try:
                        found = _decode_ref(fields.get(b"e", b""))
                    except msgspec.MsgspecError:
                        continue
                    yield found.source, found.ref, found.generation
                start = f"({page[-1][0].decode()}"

    def peek(self, mailbox: str, count: int) -> list[Envelope]:
        """As the contract says; what came into two lanes within a millisecond stands in any order."""
        found = [
            (entry.decode(), fields.get(b"e", b""))
            for stream in self.keys.block(mailbox)[: len(ALL_LANES)]
            for entry, fields in self._call("XREVRANGE", stream, "+", "-", "COUNT", count)
        ]
        found.sort(key=lambda each: _age_order(each[0]), reverse=True)
        read = (_read(packed) for _, packed in found[:count])
        return [envelope for envelope in read if envelope is not None and envelope.version <= VERSION]

    def _deliveries(self, mailbox: str, flat: Sequence[Any], deaths: int = 0, lone_deaths: int = 0) -> list[Delivery]:
        """Records of the scripts' flat replies; what cannot be read was not written by us, and leaves the mailbox.

        What a newer program wrote goes back to its lane: while two versions run side by side, its workers take it.
        """
        found, left = [], 0
        triples = iter(flat)
        for number, entry, packed in zip(triples, triples, triples, strict=True):
            envelope = _read(packed)
            if envelope is None or envelope.version > VERSION:
                if _version_of(packed) > VERSION:
                    left += self._leave(mailbox, number, entry, packed)
                else:
                    self._drop(mailbox, number, entry, len(packed))
                continue
            lane = ALL_LANES[number - 1]
            found.append(Delivery(mailbox, lane, entry.decode(), envelope, len(packed), deaths, lone_deaths))
        if left:
            self._left.info("Messages of a newer version are left to newer workers", extra={"mailbox": mailbox})
            time.sleep(LEFT_S)
        return found

    def _leave(self, mailbox: str, number: int, entry: bytes, packed: bytes) -> int:
        """To the end of its lane, as it came; out of quarantine, whose marks are ours, it goes among the others."""
        lane = number if ALL_LANES[number - 1] != QUARANTINE else LANE_NUMBER["normal"]
        return self._move_one(mailbox, number, entry, len(packed), lane, packed)

    def _drop(self, mailbox: str, number: int, entry: bytes, size: int) -> None:
        self._move_one(mailbox, number, entry, size, 0)

    def _move_one(self, mailbox: str, number: int, entry: bytes, size: int, to: int, *packed: bytes) -> int:
        """Settle one message that cannot be read; 1 when it was ours."""
        keys = [*self.keys.log, *self.keys.block(mailbox)]
        return 1 - len(self._run("settle", keys, [*self.log_args(), *pack_one(number, to, entry, size), *packed]))


def _read(packed: bytes) -> Envelope | None:
    try:
        return _decode(packed)
    except msgspec.MsgspecError:
        return None


def _version_of(packed: bytes) -> int:
    try:
        return _decode_version(packed).version
    except msgspec.MsgspecError:
        return 0


def _handed_on(verdict: Verdict) -> int:
    return 0 if verdict.forward is None else len(verdict.forward[1].body)


def _age_order(entry: str) -> tuple[int, int]:
    milliseconds, _, number = entry.partition("-")
    return int(milliseconds), int(number)
