"""The mailbox contract: what a durable mailbox promises, and the records that pass through it.

Implemented by storage/redis_mailbox.py on Redis streams; one contract suite (tests/engine/test_mailbox_contract.py) holds it and the
mailboxes in memory on which crashes are simulated. Used by the pump (engine/pump.py), the actor that it supplies
(engine/mailbox_actor.py) and whoever puts messages in from outside. Put before acknowledge: a message leaves one mailbox in the same
atomic step that hands it on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

LANES = ("high", "normal", "low")
"""The lanes of a mailbox, most urgent first. Read by weight (`LANE_WEIGHTS`), so that none starves."""

LANE_WEIGHTS = {"high": 16, "normal": 4, "low": 1}

BACKGROUND = LANES[-1]
"""The lane of what may wait: a first sync, and what is done again on request."""

QUARANTINE = "quarantine"
"""A fourth lane for messages whose process died under them: delivered alone, marked before they are handed out."""

ALL_LANES = (*LANES, QUARANTINE)

ONCE_S = 15 * 60
"""For so many seconds a name given to `put` keeps repetitions out."""

MAIN = "main"
"""The source of whoever names none."""

DEAD = "dead"
"""The mailbox of the undertaker: a buried message is forwarded to it, and its actor writes the dead letter."""


VERSION = 1
"""Of envelopes and what they carry. A newer program that means something else by them counts up; new optional fields need not."""


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
    """One message. `(source, key)` names what it is about, `generation` which life of it, `ref` its row in the books.

    `feed_seq` is the number under which it was fed: a row that was opened anew has another one, and leaves older messages behind (0: of
    an older version, any number is right). `attempts` counts the tries already spent on this life; `times` holds when each stage began
    or ended (name → seconds since the epoch); `body` is the mailbox's own payload, encoded by its sender. Unknown fields are ignored when it is read; one of a newer `version` is left to newer workers.
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
    """An envelope in the hands of one consumer, until it is settled or its owner dies."""

    mailbox: str
    lane: str  # the lane it was read from: one of LANES, or QUARANTINE
    entry: str  # the store's own id of the entry, unique within mailbox and lane
    envelope: Envelope
    size: int  # bytes as stored, for the mailbox's byte budget
    deaths: int = 0  # processes that died while they held it, as seen by a living launcher
    lone_deaths: int = 0  # of those, while it was delivered alone


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What becomes of one delivery: acknowledged, perhaps handed on, perhaps told to the event log. All or nothing."""

    delivery: Delivery
    forward: tuple[str, Envelope] | None = None  # (mailbox, envelope); the envelope's lane is used
    events: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits in one lane: messages and bytes, those in hand included, and how long the oldest has been there."""

    messages: int = 0
    bytes: int = 0
    in_hand: int = 0
    oldest_age: float = 0.0  # seconds


@dataclass(frozen=True, slots=True)
class Room:
    """A limit on what may wait in a mailbox, in all its lanes together; who fills the low one leaves room for the others."""

    messages: int = 10_000
    bytes: int = 256 * 1024 * 1024


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """One event of the log. `seq` is opaque and rises; `data` is the encoded event."""

    seq: str
    data: bytes


@dataclass(frozen=True, slots=True)
class LogRead:
    """A page of the event log: entries after what was asked for; `gap` says why some in between cannot be told."""

    entries: list[LogEntry] = field(default_factory=list)
    last: str = ""
    gap: str | None = None


class MailboxStore(Protocol):
    """All mailboxes of one system, by name, and what must be atomic with them. Raises DependencyTrouble when the store is away.

    Every call may have taken effect though its reply was lost: each is safe to repeat.
    """

    def put(
        self, mailbox: str, envelopes: Sequence[Envelope], *, once: str | None = None, rank: int | None = None
    ) -> bool:
        """Append, durably, before returning. With `once` (a name) a repetition within ONCE_S adds nothing: False.

        With `rank` (from 0) there is a single envelope, and where as many messages wait in its lane as the mailbox has room for, one more
        stands for all that come: the first of the highest rank. False where another one does.
        """

    def take(
        self, mailbox: str, consumer: str, *, count: int, max_bytes: int, block: float, into: Sequence[str] = ()
    ) -> list[Delivery]:
        """Up to `count` messages by lane weight, waiting up to `block` seconds for the first; [] when there are none.

        Consumers are named "node/process/slot". A quarantined message comes alone, and is marked before it is returned: its
        process holds nothing else of the mailbox then, and its other slots get []. It has its turn under load too. With `into`
        nothing is taken while one of these mailboxes (downstream) has no room: back-pressure.
        """

    def pending(
        self, mailbox: str, consumer: str, *, count: int, after: Mapping[str, str] | None = None
    ) -> list[Delivery]:
        """Messages that `consumer` already holds, oldest first: what a restarted process or a lost reply left in its hands.

        `after` pages on: lane → last entry seen. One from QUARANTINE comes alone, when no others are left. Entries deleted
        under it are dropped from its hands.
        """

    def settle(self, verdicts: Sequence[Verdict]) -> list[bool]:
        """Acknowledge, hand on and tell in one atomic step a batch; True where the message was still ours.

        Each forward and each event happens only with its own acknowledgement, so of two owners one hands over.
        """

    def release(self, mailbox: str, consumer: str, *, crashed: bool) -> int:
        """Give what a dead consumer held back to its mailbox; returns how many.

        `crashed`: a living launcher saw this very process die, so each message's `deaths` rises and it goes to QUARANTINE;
        otherwise nobody is blamed and it goes back to its lane.
        """

    def consumers(self, mailbox: str) -> dict[str, int]:
        """Consumer → messages in hand."""

    def forget(self, mailbox: str, consumer: str) -> bool:
        """Remove a consumer that holds nothing (checked in the same step)."""

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
        """Move `position` from `expected` to `to` and append the envelopes and events with it; False when somebody else did."""

    def positions(self, names: Sequence[str]) -> dict[str, int]:
        """The feeder's positions of those names; 0 where there is none (all is fed again)."""

    def mailboxes(self, prefix: str) -> Iterator[set[str]]:
        """The names of the mailboxes that begin so, page by page, some of them in several pages, and many pages empty.

        Looks at all that the store holds, which others may fill too: for rare duties, which let others run after each page.
        """

    def remove(self, mailbox: str) -> None:
        """Forget a mailbox that nobody needs any more, with whatever is in it."""

    def depths(self, mailbox: str) -> dict[str, Depth]:
        """Lane (QUARANTINE too) → Depth."""

    def refs(self, mailbox: str) -> Iterator[tuple[str, int, int]]:
        """(source, ref, generation) of every message in the mailbox, in hand or not, in slices, in the direction of flow."""

    def peek(self, mailbox: str, count: int) -> list[Envelope]:
        """The newest messages of the mailbox, newest first, in hand or not; nothing is taken. Those that only newer programs understand are left out."""

    def tell(self, events: Sequence[bytes]) -> None:
        """Append events that belong to no settled message (labels, erasures) to the event log."""

    def read_log(self, after: str | None, *, count: int, block: float = 0.0, ended: bool = False) -> LogRead:
        """Events after `after` (None: from now on), waiting up to `block` seconds.

        `ended`: the page that ended with `after` was the last one, so nothing is read before the next event comes.
        """

    def log_bounds(self) -> tuple[str, str]:
        """The oldest and the newest seq of the log."""

    def beat(self, process: str, info: Mapping[str, Any], *, ttl: float, metrics: bytes = b"") -> float:
        """Say that a process lives, with what others should know of it (JSON-able), and its metrics for whoever asks for those.

        The store's clock then, as of `time`.
        """

    def time(self) -> float:
        """The store's clock, seconds since the epoch."""

    def alive(self) -> dict[str, dict[str, Any]]:
        """Processes heard of within their ttl → their info."""

    def living(self) -> set[str]:
        """The names of these alone: what many nodes say of themselves is much to read."""

    def metrics(self, processes: Sequence[str]) -> dict[str, bytes]:
        """Process → its metrics as of its last beat; those that do not live or told none are left out."""

    def launchers(self, nodes: Sequence[str]) -> dict[str, bool]:
        """Node → whether its launcher lives; those whose launcher gives no signs are left out."""

    def lease(self, name: str, token: str, *, ttl: float) -> bool:
        """Take or renew the lease `name` with this random token; False while somebody else holds it."""

    def give_up(self, name: str, token: str) -> None:
        """Give the lease back, if it is still ours."""

    def call(self, topic: str) -> None:
        """Say "read again" to all processes (desired state changed)."""

    def listen(self, last: str | None, *, block: float) -> tuple[str, list[str]]:
        """Calls since `last` (None: from now on) → (new last, topics)."""

    def ping(self) -> float:
        """Round trip of a small write in seconds; raises where the store takes none."""
