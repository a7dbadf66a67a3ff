"""What one client, and all clients together, may take: byte budgets, deadlines and slots.

web/server.py is given `Limits` or uses the defaults; web/server_handler.py asks `Door`, which counts the connections,
for a slot for each. Nothing here knows HTTP. The time is an argument, so that tests need no clock.
"""

import resource
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from web.addresses import is_trusted, source_of

DESCRIPTORS_FOR_THE_REST = 256


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets of the server; sizes in bytes, durations in seconds. The defaults suit the open internet."""

    request_line_bytes: int = 8192
    header_bytes: int = 32768
    header_count: int = 100
    body_bytes: int = 1 << 20
    all_bodies_bytes: int = 256 << 20  # of all requests in progress together, small ones excepted
    small_body_bytes: int = 64 << 10  # up to this size, bodies are not limited together; slots bound their number
    deferred_seconds: int = 3  # a silent connection stays with the kernel this long, and costs us nothing
    header_seconds: float = 7.0
    idle_seconds: float = 65.0  # keep-alive: longer than the minute after which many clients poll again
    body_seconds: float = 10.0
    write_seconds: float = 10.0
    bytes_per_second: int = 32768  # each byte of a body or an answer extends its deadline by its time at this rate
    linger_seconds: float = 1.0  # how long to read on after a refusal, so that the client sees it
    connections: int = 2048
    connections_per_address: int = 256  # WebSockets included; the next two exempt some
    loopback_exempt: bool = True
    proxies: tuple[str, ...] = ()  # each stands for many clients
    reserve: int = 32  # slots beyond `connections` in which only /health is answered
    silent_seconds: float = 0.25  # when full, a connection without a request for this long is dropped
    resting_seconds: float = 10.0  # and so is one whose last answer was this long ago
    retry_after_seconds: int = 2
    websockets: int = 2048
    message_bytes: int = 1 << 16
    message_fragments: int = 64
    outbox_frames: int = 256
    outbox_bytes: int = 1 << 18
    send_buffer_bytes: int = 16384  # the kernel's, per WebSocket: a stuck reader is noticed after this much
    ping_seconds: float = 20.0
    missed_pings: int = 2
    close_seconds: float = 2.0  # how long to wait for the other side's close frame


def fit_descriptors(limits: Limits) -> Limits:
    """Raise the soft limit of open files as far as needed and allowed; return limits whose slots fit into it."""
    wanted = limits.connections + limits.websockets + limits.reserve + DESCRIPTORS_FOR_THE_REST
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limits
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return shrink(limits, allowed)


def shrink(limits: Limits, descriptors: int) -> Limits:
    """Return limits whose slots fit into `descriptors` open files, in the same proportion."""
    wanted = limits.connections + limits.websockets + limits.reserve
    room = max(descriptors - DESCRIPTORS_FOR_THE_REST, descriptors // 2)
    if wanted <= room:
        return limits
    share = room / wanted
    return replace(
        limits,
        connections=max(1, int(limits.connections * share)),
        websockets=max(1, int(limits.websockets * share)),
        reserve=max(1, int(limits.reserve * share)),
    )


class Slot(Enum):
    """The kind of slot that a connection has."""

    MAIN = "main"
    RESERVE = "reserve"  # all other slots are taken: only /health is answered
    REFUSED = "refused"  # even the reserve is full
    WEBSOCKET = "websocket"


class Guest(Protocol):
    """What `Door` needs of a connection: its address, and a way to end it that makes its greenlet leave soon."""

    address: str

    def drop(self) -> None:
        """End the connection now."""


class Door:
    """Counts the connections, in total, per address and per kind; drops idle ones to make room for new ones."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.inside: dict[Guest, tuple[Slot, str]] = {}
        self.count: Counter[Slot] = Counter()
        self._by_address: Counter[str] = Counter()
        self._silent: dict[Slot, dict[Guest, float]] = {Slot.MAIN: {}, Slot.RESERVE: {}}
        self._resting: dict[Guest, float] = {}

    def enter(self, guest: Guest, now: float) -> Slot:
        """Give `guest` a slot; REFUSED is not counted and needs no `leave`."""
        source = source_of(guest.address)
        slot = self._slot_for(source, now, exempt=self._is_exempt(guest.address, source))
        if slot is not Slot.REFUSED:
            self.inside[guest] = (slot, source)
            self.count[slot] += 1
            self._by_address[source] += 1
            self._silent[slot][guest] = now
        return slot

    def heard(self, guest: Guest) -> None:
        """Note that `guest` has sent a whole request head: it is no longer dropped to make room."""
        for idle in (*self._silent.values(), self._resting):
            idle.pop(guest, None)

    def rest(self, guest: Guest, now: float) -> None:
        """Note that `guest` has had its answer and keeps the connection; after a while it may be dropped too."""
        if guest in self.inside:
            self._resting[guest] = now

    def upgrade(self, guest: Guest) -> bool:
        """Move `guest` from the connections to the WebSockets; return False if those are full."""
        slot, source = self.inside.get(guest, (Slot.REFUSED, ""))
        if slot is not Slot.MAIN or self.count[Slot.WEBSOCKET] >= self.limits.websockets:
            return False
        self.inside[guest] = (Slot.WEBSOCKET, source)
        self.count[Slot.MAIN] -= 1
        self.count[Slot.WEBSOCKET] += 1
        return True

    def leave(self, guest: Guest) -> None:
        """Stop counting `guest`; harmless if it has left already."""
        slot, source = self.inside.pop(guest, (Slot.REFUSED, ""))
        if slot is Slot.REFUSED:
            return
        self.count[slot] -= 1
        self._by_address[source] -= 1
        if not self._by_address[source]:
            del self._by_address[source]
        self.heard(guest)

    def _is_exempt(self, address: str, source: str) -> bool:
        limits = self.limits
        return (limits.loopback_exempt and source == "loopback") or is_trusted(address, limits.proxies)

    def _slot_for(self, source: str, now: float, *, exempt: bool) -> Slot:
        if (exempt or self._is_welcome(source, now)) and self._has_room(now):
            return Slot.MAIN
        if self.count[Slot.RESERVE] < self.limits.reserve or self._make_room(self._silent[Slot.RESERVE], now):
            return Slot.RESERVE
        return Slot.REFUSED

    def _is_welcome(self, source: str, now: float) -> bool:
        limits = self.limits
        few = self._by_address[source] < limits.connections_per_address
        return few or self._make_room(self._resting, now - limits.resting_seconds, source)

    def _has_room(self, now: float) -> bool:
        limits = self.limits
        return (
            self.count[Slot.MAIN] < limits.connections
            or self._make_room(self._silent[Slot.MAIN], now - limits.silent_seconds)
            or self._make_room(self._resting, now - limits.resting_seconds)
        )

    def _make_room(self, idle: Mapping[Guest, float], before: float, source: str | None = None) -> bool:
        """Drop the longest-idle connection (of `source`, if given) that has been idle since `before` or earlier."""
        for guest, since in idle.items():
            if since > before:
                break
            if source in (None, self.inside[guest][1]):
                self.leave(guest)
                guest.drop()
                return True
        return False
