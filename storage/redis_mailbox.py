"""The mailboxes on Redis streams: implements the contract of engine/mailbox.py with atomic scripts (scripts/*.lua).

Used by the pump (engine/pump.py), the mailbox actors, the feeder and the janitor. redis_keys.py describes the key
layout; the event log and the signs of life are base classes in event_log.py and redis_presence.py. Two things make
every late acknowledgement void: all nodes share one consumer group, and an entry gets a new id when it changes hands.
"""

import logging
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from gevent.lock import BoundedSemaphore

from engine.lanes import QUARANTINE_TURN_S, quotas
from engine.logs import Folded
from engine.mailbox import ALL_LANES, LANES, ONCE_S, QUARANTINE, VERSION, Delivery, Depth, Envelope, Room, Settlement
from engine.names import process_of
from engine.turns import parts
from storage.event_log import RedisEventLog
from storage.redis_keys import GROUP
from storage.redis_packing import LANE_NUMBER, pack_envelopes, pack_one, pack_settlements
from storage.redis_presence import RedisPresence

FULL_POLL = 0.05  # seconds between polls while there is no room downstream, or a message has to be alone
SLICE = 500  # messages that one script appends or settles at most: a few milliseconds of server time
SLICE_BYTES = 4 * 1024 * 1024  # of payload in one script at most: within the socket time-out even over a slow link
RELEASE_SLICE = 200
SCAN_SLICE = 1000
REFS_SLICE = 32  # small, since whole emails are transferred for three fields of each
LEFT_S = 0.2  # pause after messages for newer workers only, so that older workers do not pass them back and forth

log = logging.getLogger(__name__)

_decode = msgspec.msgpack.Decoder(Envelope).decode


class _Ref(msgspec.Struct, rename={"source": "s", "ref": "r", "generation": "g"}):
    """The part of an Envelope that `refs` needs."""

    source: str
    ref: int = 0
    generation: int = 0


class _Version(msgspec.Struct, rename={"version": "v"}):
    """The part of an Envelope that shows whether a newer program wrote it."""

    version: int = VERSION


_decode_version = msgspec.msgpack.Decoder(_Version).decode
_decode_ref = msgspec.msgpack.Decoder(_Ref).decode


class _Want(msgspec.Struct, frozen=True):
    """A request to take messages; the mailboxes in `into` (downstream) must have room."""

    mailbox: str
    consumer: str
    count: int
    max_bytes: int
    into: Sequence[str]


class RedisMailboxes(RedisEventLog, RedisPresence):
    """A MailboxStore on Redis 7.0 or Valkey 7.2, or newer. Safe for any number of greenlets and processes.

    `namespace` is the books' id; `rooms` holds the limits of mailboxes (a mailbox without one is unlimited). Entries
    that something else deleted or corrupted are dropped: reconciling with the books brings their messages back.
    """

    def __init__(
        self, url: str, *, namespace: str, rooms: Mapping[str, Room], turn: float = QUARANTINE_TURN_S, **options: Any
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
        """Append durably; see MailboxStore.put.

        Without `once`, the envelopes go in slices. After a lost reply some may have been appended, and repeating the
        call duplicates those.
        """
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
        """Take messages; see MailboxStore.take. After a wait it may return one of each lane even if `count` is less.

        The script may exceed `max_bytes` by up to fifteen messages. Consumers are named "node/process/slot".
        """
        want = _Want(mailbox, consumer, count, max_bytes, into)
        deadline = time.monotonic() + block
        while True:
            state, found = self._take_now(want)
            left = deadline - time.monotonic()
            if not found and left > 0 and state == b"empty":
                found = self._wait_for_some(want, deadline)
            elif not found and left > 0:
                time.sleep(min(left, FULL_POLL))
            if found or left <= 0:
                return found

    def _take_now(self, want: _Want, had: Sequence[Delivery] = ()) -> tuple[bytes, list[Delivery]]:
        """Take without waiting what is wanted beyond `had`; return take.lua's state with the deliveries."""
        mailbox, count = want.mailbox, max(0, want.count - len(had))
        turn = self._turns.setdefault(mailbox, random.randrange(1 << 16))
        self._turns[mailbox] = turn + count
        keys = [*self.keys.block(mailbox), self.keys.duty(mailbox)]
        args: list[Any] = [
            want.consumer,
            process_of(want.consumer),
            want.max_bytes - sum(delivery.size for delivery in had),
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
        """Wait for the first message, then take what arrived with it.

        Only one greenlet per mailbox waits at a time: the server gives one message to each waiting consumer, which
        would split what one of them could take into batches of one.
        """
        place = self._waiters.setdefault(want.mailbox, BoundedSemaphore())
        if not place.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return []
        try:
            left = min(deadline - time.monotonic(), self.BLOCK_PIECE)
            found = self._wait_for_one(want, left) if left > 0 else []
            if not found:
                return []
            state, more = self._take_now(want, found)
            if state == b"alone":
                # Our process was given a quarantined message while we waited at the server, which knows no such rule.
                self.release(want.mailbox, want.consumer, crashed=False)
                return []
            return found + more
        finally:
            place.release()

    def _wait_for_one(self, want: _Want, seconds: float) -> list[Delivery]:
        """Block at the server for the first message, which goes to one of the waiting consumers."""
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
        """Return held messages; see MailboxStore.pending.

        One from quarantine comes alone, after all others are settled or skipped by `after`.
        """
        seen = after or {}
        starts = [seen.get(lane, "0") for lane in ALL_LANES]
        deaths, lone_deaths, *flat = self._run("pending", self.keys.block(mailbox), [consumer, count, *starts])
        held = self._deliveries(mailbox, flat, int(deaths), int(lone_deaths))
        held.sort(key=lambda delivery: _age_order(delivery.entry))
        return held[:count]

    def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Settle a batch; see MailboxStore.settle. Each slice, of up to 500 settlements or 4 MiB, is atomic.

        If the call is repeated after a lost reply, what had been settled already reads False.
        """
        results: list[bool] = []
        for part in parts(settlements, _handed_on, SLICE, SLICE_BYTES):
            packed = pack_settlements(part)
            blocks = (key for mailbox in packed.mailboxes for key in self.keys.block(mailbox))
            lost = self._run("settle", [*self.keys.log, *blocks], [*self.log_args(), *packed.args])
            ours = [True] * len(part)
            for nth in lost:
                ours[packed.order[nth - 1]] = False
            results += ours
        return results

    def release(self, mailbox: str, consumer: str, *, crashed: bool) -> int:
        """Release a consumer's messages; see MailboxStore.release. Each slice is atomic; repeat an interrupted release.

        XAUTOCLAIM would not do: it goes by age and keeps the id, so that a slow owner could still acknowledge a message
        that another consumer works on. Here the owner is known to be gone, and the ids that it held become invalid.
        """
        given = 0
        while True:
            moved, dropped = self._run("release", self.keys.block(mailbox), [consumer, int(crashed), RELEASE_SLICE])
            given += int(moved)
            if not moved and not dropped:
                return given

    def consumers(self, mailbox: str) -> dict[str, int]:
        """Return the number of messages in hand of each consumer, on all nodes."""
        held: dict[str, int] = {}
        flat = iter(self._run("consumers", self.keys.block(mailbox), []))
        for name, count in zip(flat, flat, strict=True):
            held[name.decode()] = held.get(name.decode(), 0) + count
        return held

    def forget(self, mailbox: str, consumer: str) -> bool:
        """Remove a consumer; return False, and keep it, while it holds messages."""
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
        """Feed a mailbox; see MailboxStore.feed. One script does it all, so pass at most about 1,000 envelopes.

        After a lost reply, False may mean that the first call moved the position.
        """
        keys = [*self.keys.log, self.keys.positions, *self.keys.block(mailbox)]
        args = [*self.log_args(), position, expected, to, len(envelopes), *pack_envelopes(envelopes), *events]
        return bool(self._run("feed", keys, args))

    def positions(self, names: Sequence[str]) -> dict[str, int]:
        """Return the feeder's positions by name, 0 for a missing one."""
        found = self._call("HMGET", self.keys.positions, *names) if names else []
        return {name: int(position or 0) for name, position in zip(names, found, strict=True)}

    def mailboxes(self, prefix: str) -> Iterator[set[str]]:
        """Find mailboxes with SCAN; see MailboxStore.mailboxes. One that was never read or written is missing."""
        cursor: int | None = None
        while cursor != 0:
            cursor, keys = self._call("SCAN", cursor or 0, "MATCH", self.keys.lanes(prefix), "COUNT", SCAN_SLICE)
            found = {self.keys.mailbox_of(key.decode()) for key in keys}
            yield {mailbox for mailbox in found if mailbox is not None}

    def remove(self, mailbox: str) -> None:
        """Delete a mailbox; see MailboxStore.remove. A reader that is blocked on it creates it again."""
        self._call("DEL", *self.keys.block(mailbox), self.keys.duty(mailbox))

    def depths(self, mailbox: str) -> dict[str, Depth]:
        """Return the depth of each of the four lanes, all at the same instant."""
        seconds, microseconds, *flat = self._run("depths", self.keys.block(mailbox), [])
        now = int(seconds) + int(microseconds) / 1e6
        found = {}
        for lane in ALL_LANES:
            messages, size, in_hand, oldest, *flat = flat
            age = max(0.0, now - int(oldest.partition(b"-")[0]) / 1000) if oldest else 0.0
            found[lane] = Depth(messages=messages, bytes=max(0, int(size)), in_hand=in_hand, oldest_age=age)
        return found

    def refs(self, mailbox: str) -> Iterator[tuple[str, int, int]]:
        """Walk all messages; see MailboxStore.refs. Quarantine comes last, as messages move there from the other lanes.

        Entries that are added during the walk are found, too.
        """
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
        """Return the newest messages; see MailboxStore.peek. Within a millisecond, two lanes may be in any order."""
        found = [
            (entry.decode(), fields.get(b"e", b""))
            for stream in self.keys.block(mailbox)[: len(ALL_LANES)]
            for entry, fields in self._call("XREVRANGE", stream, "+", "-", "COUNT", count)
        ]
        found.sort(key=lambda each: _age_order(each[0]), reverse=True)
        read = (_read(packed) for _, packed in found[:count])
        return [envelope for envelope in read if envelope is not None and envelope.version <= VERSION]

    def _deliveries(self, mailbox: str, flat: Sequence[Any], deaths: int = 0, lone_deaths: int = 0) -> list[Delivery]:
        """Turn a script's flat reply into deliveries; remove entries that cannot be read, since we did not write them.

        A message from a newer program goes back to its lane: while two versions run side by side, newer workers take it.
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
        """Move a message unchanged to the end of its lane; one from quarantine loses its marks and goes to `normal`."""
        lane = number if ALL_LANES[number - 1] != QUARANTINE else LANE_NUMBER["normal"]
        return self._move_one(mailbox, number, entry, len(packed), lane, packed)

    def _drop(self, mailbox: str, number: int, entry: bytes, size: int) -> None:
        self._move_one(mailbox, number, entry, size, 0)

    def _move_one(self, mailbox: str, number: int, entry: bytes, size: int, to: int, *packed: bytes) -> int:
        """Settle one message that this version cannot read; return 1 if it was still ours, else 0."""
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


def _handed_on(settlement: Settlement) -> int:
    return 0 if settlement.forward is None else len(settlement.forward[1].body)


def _age_order(entry: str) -> tuple[int, int]:
    milliseconds, _, number = entry.partition("-")
    return int(milliseconds), int(number)
