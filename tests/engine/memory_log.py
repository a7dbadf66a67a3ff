"""The event log and the heartbeats in memory: the half of the mailbox contract that holds no messages.

The base of MemoryMailboxes (memory_mailbox.py). Depends only on the clock that it is given.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.mailbox import LogEntry, LogRead


class MemoryLog:
    """Events in order, heartbeats, leases, and calls to read again."""

    def __init__(self, clock: Callable[[], float], log_bytes: int) -> None:
        self._clock = clock
        self._log_bytes = log_bytes
        self._logs = itertools.count(1)
        self.wipe()

    def wipe(self) -> None:
        """Lose everything; the next event begins a new log."""
        self._log_id = f"{next(self._logs):08x}"
        self._log: dict[int, bytes] = {}
        self._told = 0
        self._processes: dict[str, tuple[float, dict[str, Any]]] = {}
        self._metrics: dict[str, bytes] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._calls: list[str] = []

    def tell(self, events: Sequence[bytes]) -> None:
        """Append events, and drop the oldest while the log has too many bytes."""
        for data in events:
            self._told += 1
            self._log[self._told] = data
        size = sum(map(len, self._log.values()))
        while size > self._log_bytes and len(self._log) > 1:
            size -= len(self._log.pop(next(iter(self._log))))

    def read_log(self, after: str | None, *, count: int, block: float = 0.0, ended: bool = False) -> LogRead:
        """Return the events after `after` (None: from now on); never wait."""
        del block, ended
        if after is None:
            return LogRead(last=self._seq(self._told))
        log, _, number = after.partition("-")
        oldest = next(iter(self._log), self._told + 1)
        start, gap = int(number) if number.isdigit() else 0, None
        if log != self._log_id or start > self._told:
            start, gap = oldest - 1, "another log"
        elif start < oldest - 1:
            start, gap = oldest - 1, "trimmed"
        numbers = range(start + 1, min(start + count, self._told) + 1)
        entries = [LogEntry(self._seq(at), self._log[at]) for at in numbers]
        return LogRead(entries, self._seq(start + len(entries)), gap)

    def log_bounds(self) -> tuple[str, str]:
        """Return the oldest and the newest seq of the log."""
        return self._seq(next(iter(self._log), self._told)), self._seq(self._told)

    def beat(self, process: str, info: Mapping[str, Any], *, ttl: float, metrics: bytes = b"") -> float:
        """Record a heartbeat of a process."""
        self._processes[process] = (self._clock() + ttl, dict(info))
        self._metrics[process] = metrics
        return self._clock()

    def time(self) -> float:
        """Return the time of the shared clock."""
        return self._clock()

    def alive(self) -> dict[str, dict[str, Any]]:
        """Return process → info for processes whose last heartbeat is within its ttl."""
        return {name: info for name, (until, info) in self._processes.items() if until > self._clock()}

    def living(self) -> set[str]:
        """Return only the names of these processes."""
        return set(self.alive())

    def metrics(self, processes: Sequence[str]) -> dict[str, bytes]:
        """Return process → metrics, for live processes that have reported any."""
        living = self.living()
        return {name: self._metrics[name] for name in processes if name in living and self._metrics[name]}

    def launchers(self, nodes: Sequence[str]) -> dict[str, bool]:
        """Return nothing: there are no launchers here."""
        return {}

    def lease(self, name: str, token: str, *, ttl: float) -> bool:
        """Take or renew a lease; return False while somebody else holds it."""
        holder, until = self._leases.get(name, (token, 0.0))
        if holder != token and until > self._clock():
            return False
        self._leases[name] = (token, self._clock() + ttl)
        return True

    def give_up(self, name: str, token: str) -> None:
        """Release the lease, if it is still ours."""
        if self._leases.get(name, ("", 0.0))[0] == token:
            del self._leases[name]

    def call(self, topic: str) -> None:
        """Tell listeners to read the topic again."""
        self._calls.append(topic)

    def listen(self, last: str | None, *, block: float) -> tuple[str, list[str]]:
        """Return (new last, topics) of the calls since `last` (None: from now on); never wait."""
        del block
        start = len(self._calls) if last is None else int(last)
        return str(len(self._calls)), list(dict.fromkeys(self._calls[start:]))

    def ping(self) -> float:
        """Return zero: there is no connection."""
        return 0.0

    def _seq(self, number: int) -> str:
        return f"{self._log_id}-{number:013d}"
