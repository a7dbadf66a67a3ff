"""The event log and the signs of life in memory: the half of the contract that holds no messages.

The base of MemoryMailboxes (memory_mailbox.py). Relies on nothing but the clock it is given.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.mailbox import LogEntry, LogRead


class MemoryLog:
    """Events in order, who lives, who may, and who should look again."""

    def __init__(self, clock: Callable[[], float], log_bytes: int) -> None:
        self._clock = clock
        self._log_bytes = log_bytes
        self._logs = itertools.count(1)
        self.wipe()

    def wipe(self) -> None:
        """Lose everything; the next event begins another log."""
        self._log_id = f"{next(self._logs):08x}"
        self._log: dict[int, bytes] = {}
        self._told = 0
        self._processes: dict[str, tuple[float, dict[str, Any]]] = {}
        self._metrics: dict[str, bytes] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._calls: list[str] = []

    def tell(self, events: Sequence[bytes]) -> None:
        """Append events; the oldest give way when there are too many bytes."""
        for data in events:
            self._told += 1
            self._log[self._told] = data
        size = sum(map(len, self._log.values()))
        while size > self._log_bytes and len(self._log) > 1:
            size -= len(self._log.pop(next(iter(self._log))))

    def read_log(self, after: str | None, *, count: int, block: float = 0.0, ended: bool = False) -> LogRead:
        """Events after `after` (None: from now on); never waits."""
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
        """The oldest and the newest seq of the log."""
        return self._seq(next(iter(self._log), self._told)), self._seq(self._told)

    def beat(self, process: str, info: Mapping[str, Any], *, ttl: float, metrics: bytes = b"") -> float:
        """Say that a process lives."""
        self._processes[process] = (self._clock() + ttl, dict(info))
        self._metrics[process] = metrics
        return self._clock()

    def time(self) -> float:
        """The clock that all go by here."""
        return self._clock()

    def alive(self) -> dict[str, dict[str, Any]]:
        """Processes heard of within their ttl → their info."""
        return {name: info for name, (until, info) in self._processes.items() if until > self._clock()}

    def living(self) -> set[str]:
        """The names of these alone."""
        return set(self.alive())

    def metrics(self, processes: Sequence[str]) -> dict[str, bytes]:
        """Process → its metrics, of those that live and told any."""
        living = self.living()
        return {name: self._metrics[name] for name in processes if name in living and self._metrics[name]}

    def launchers(self, nodes: Sequence[str]) -> dict[str, bool]:
        """No launcher gives signs here."""
        return {}

    def lease(self, name: str, token: str, *, ttl: float) -> bool:
        """Take or renew a lease; False while somebody else holds it."""
        holder, until = self._leases.get(name, (token, 0.0))
        if holder != token and until > self._clock():
            return False
        self._leases[name] = (token, self._clock() + ttl)
        return True

    def give_up(self, name: str, token: str) -> None:
        """Give the lease back, if it is still ours."""
        if self._leases.get(name, ("", 0.0))[0] == token:
            del self._leases[name]

    def call(self, topic: str) -> None:
        """Say "read again"."""
        self._calls.append(topic)

    def listen(self, last: str | None, *, block: float) -> tuple[str, list[str]]:
        """Calls since `last` (None: from now on) → (new last, topics); never waits."""
        del block
        start = len(self._calls) if last is None else int(last)
        return str(len(self._calls)), list(dict.fromkeys(self._calls[start:]))

    def ping(self) -> float:
        """No way to go."""
        return 0.0

    def _seq(self, number: int) -> str:
        return f"{self._log_id}-{number:013d}"
