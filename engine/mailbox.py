"""The mailbox contract: what a durable mailbox promises, and the records that pass through it.

storage/redis_mailbox.py implements it on Redis streams. The same contract suite
(tests/engine/test_mailbox_contract.py) also checks the in-memory mailboxes on which the tests simulate crashes.
Callers are the pump (engine/pump.py), the actor that it supplies (engine/mailbox_actor.py), and code that puts
messages in from outside, such as the webhook. The rule is "put before acknowledge": a message leaves one mailbox in
the same atomic step that puts it into the next.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

LANES = ("high", "normal", "low")
"""The lanes of a mailbox, most urgent first. They are read by weight (`LANE_WEIGHTS`), so that none starves."""

LANE_WEIGHTS = {"high": 16, "normal": 4, "low": 1}

BACKGROUND = LANES[-1]
"""The lane for work that can wait: a first sync, and work repeated on request."""

QUARANTINE = "quarantine"
"""A fourth lane, for messages whose process died while it held them. Each is delivered alone, and marked before it is
handed out."""

ALL_LANES = (*LANES, QUARANTINE)

ONCE_S = 15 * 60
"""How long (seconds) a name given to `put` suppresses duplicates."""

MAIN = "main"
"""The name of the source when none is given."""

DEAD = "dead"
"""The mailbox of buried messages: the actor that reads it writes the dead letters."""


VERSION = 1
"""The version of the envelope and body formats. Increment it when the meaning of a field changes; a new optional
field does not require it."""


class Envelope(
    msgspec.Struct,
    frozen=True,
    gc=False,  # nothing that passes through a mailbox is ever part of a cycle
    omit_defaults=True,
    rename={
        "source": "s",
        "key": "k",
        "ref": "r",
        "generation": "g",
        "lane": "l",
        "times": "t",
        "body": "b",
        "version": "v",
        "attempts": "a",
        "feed_seq": "q",
    },
):
    """One message. `(source, key)` identifies its subject, `generation` which life of it, `ref` its row in the books.

    `feed_seq` is the number under which the row was fed. A reopened row gets a new number, which makes its older
    messages stale; 0 comes from an older version and matches any number. `attempts` counts the tries already spent in
    this generation. `times` maps each stage to the time it began or ended (seconds since the epoch). `body` is the
    payload, encoded by the sender as the mailbox requires. Readers ignore unknown fields, and leave an envelope with
    a newer `version` to newer workers.
    """

    source: str
    key: str
    ref: int = 0
    generation: int = 0
    attempts: int = 0
    lane: str = "normal"
    times: dict[str, float] = {}
    body: bytes = b""
    version: int = VERSION
    feed_seq: int = 0


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """An envelope held by one consumer, until the consumer settles it, gives it back, or dies."""

    mailbox: str
    lane: str  # the lane it was read from: one of LANES, or QUARANTINE
    entry: str  # the store's own id of the entry, unique within mailbox and lane
    envelope: Envelope
    size: int  # bytes as stored, for the mailbox's byte budget
    deaths: int = 0  # processes that died while they held it, as seen by their launcher
    lone_deaths: int = 0  # how many of those died while it was delivered alone


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """What becomes of one delivery: acknowledged, perhaps forwarded, perhaps reported as an event. All or nothing."""

    delivery: Delivery
    forward: tuple[str, Envelope] | None = None  # (mailbox, envelope); the envelope's lane is used
    events: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Depth:
    """What one lane holds: messages and bytes, including those in hand, and the age of the oldest message."""

    messages: int = 0
    bytes: int = 0
    in_hand: int = 0
    oldest_age: float = 0.0  # seconds


@dataclass(frozen=True, slots=True)
class Room:
    """A limit on what waits in a mailbox, all lanes together. The feeder lets the low lane use only part of it."""

    messages: int = 10_000
    bytes: int = 256 * 1024 * 1024
    """Beside the number of messages: 10,000 emails of 256 KiB would be 2.5 GiB."""


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """One event of the log. `seq` is opaque and increases; `data` is the encoded event."""

    seq: str
    data: bytes


@dataclass(frozen=True, slots=True)
class LogRead:
    """A page of the event log after the requested position; `gap` says why entries in between are missing."""

    entries: list[LogEntry] = field(default_factory=list)
    last: str = ""
    gap: str | None = None


class MailboxStore(Protocol):
    """All mailboxes of one system, by name, and whatever must be atomic with them.

    Every call raises DependencyTrouble when the store is unavailable. A call may have taken effect even though its
    reply was lost, so each one is safe to repeat.
    """

    def put(
        self, mailbox: str, envelopes: Sequence[Envelope], *, once: str | None = None, rank: int | None = None
    ) -> bool:
        """Append the envelopes durably. With `once` (a name), a repetition within ONCE_S adds nothing: False.

        With `rank` (0 or more), pass a single envelope. Once its lane holds as many messages as the mailbox has room
        for, only one more is kept, on behalf of all that arrive: the first of the highest rank. Returns False if
        another one is kept.
        """

    def take(
        self, mailbox: str, consumer: str, *, count: int, max_bytes: int, block: float, into: Sequence[str] = ()
    ) -> list[Delivery]:
        """Take up to `count` messages by lane weight, waiting up to `block` seconds for the first; [] if none come.

        Consumers are named "node/process/slot". A quarantined message is returned alone, and is marked first. While a
        process holds one, it holds nothing else of the mailbox, and its other slots get []. Quarantined messages get
        their turn under load too. `into` names downstream mailboxes: for back-pressure, nothing is taken while one of
        them is full.
        """

    def pending(
        self, mailbox: str, consumer: str, *, count: int, after: Mapping[str, str] | None = None
    ) -> list[Delivery]:
        """Return messages that `consumer` already holds, oldest first: left there by a restart or a lost reply.

        `after` (lane → last entry seen) asks for the next page. A message from QUARANTINE is returned alone, after
        all others. Entries that were deleted in the meantime are dropped from the consumer's pending list.
        """

    def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Acknowledge a batch and append its forwards and events in one atomic step; True where a message was ours.

        Each forward and event takes effect only together with its own acknowledgement, so of two owners only one
        hands over.
        """

    def release(self, mailbox: str, consumer: str, *, crashed: bool) -> int:
        """Give the messages that a consumer holds back to the mailbox; returns how many.

        `crashed` means that a launcher saw this very process die: each message's `deaths` increases, and it goes to
        QUARANTINE. Otherwise no message is blamed, and each goes back to its lane.
        """

    def consumers(self, mailbox: str) -> dict[str, int]:
        """Return how many messages each consumer holds."""

    def forget(self, mailbox: str, consumer: str) -> bool:
        """Remove a consumer if it holds nothing (checked in the same step); False if it holds something."""

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
        """Move `position` from `expected` to `to` and append envelopes and events; False if it was elsewhere."""

    def positions(self, names: Sequence[str]) -> dict[str, int]:
        """Return the feeder's position for each name; 0 where there is none (everything open is then fed again)."""

    def mailboxes(self, prefix: str) -> Iterator[set[str]]:
        """Yield the names of mailboxes that start with `prefix`, in pages. Names may repeat; many pages are empty.

        This scans everything in the store, which other programs may share. Use it rarely, and let other greenlets run
        after each page.
        """

    def remove(self, mailbox: str) -> None:
        """Delete a mailbox that is no longer needed, with everything in it."""

    def depths(self, mailbox: str) -> dict[str, Depth]:
        """Return the depth of each lane, QUARANTINE included."""

    def refs(self, mailbox: str) -> Iterator[tuple[str, int, int]]:
        """Yield (source, ref, generation) of every message in the mailbox, in hand or not.

        It reads in slices, in the direction in which messages move between lanes.
        """

    def peek(self, mailbox: str, count: int) -> list[Envelope]:
        """Return the newest messages, newest first, in hand or not, taking none; omits those of a newer version."""

    def tell(self, events: Sequence[bytes]) -> None:
        """Append to the event log events that belong to no settled message (labels, erasures)."""

    def read_log(self, after: str | None, *, count: int, block: float = 0.0, ended: bool = False) -> LogRead:
        """Return events after `after` (None: from now on), waiting up to `block` seconds.

        `ended` means that `after` is known to be the end of the log: wait for the next event before reading anything.
        """

    def log_bounds(self) -> tuple[str, str]:
        """Return the oldest and the newest seq of the log."""

    def beat(self, process: str, info: Mapping[str, Any], *, ttl: float, metrics: bytes = b"") -> float:
        """Record that a process is alive, with its metrics and (JSON-able) `info`; returns the store's time."""

    def time(self) -> float:
        """Return the store's clock, in seconds since the epoch."""

    def alive(self) -> dict[str, dict[str, Any]]:
        """Return the info of each process whose last beat is within its ttl."""

    def living(self) -> set[str]:
        """Return only the names of the processes in `alive`, which is much less to read when there are many nodes."""

    def metrics(self, processes: Sequence[str]) -> dict[str, bytes]:
        """Return each process's metrics as of its last beat; those that are dead or sent none are left out."""

    def launchers(self, nodes: Sequence[str]) -> dict[str, bool]:
        """Return whether each node's launcher is alive; nodes whose launcher sends no signs of life are left out."""

    def lease(self, name: str, token: str, *, ttl: float) -> bool:
        """Take or renew the lease `name` with this random token; False while another token holds it."""

    def give_up(self, name: str, token: str) -> None:
        """Release the lease, if this token still holds it."""

    def call(self, topic: str) -> None:
        """Tell all processes to read `topic` again, because the desired state changed."""

    def listen(self, last: str | None, *, block: float) -> tuple[str, list[str]]:
        """Wait for calls since `last` (None: from now on); returns the new `last` and the topics."""

    def ping(self) -> float:
        """Return the round trip of a small write, in seconds; raises if the store accepts no writes."""
