"""Signs of life, leases and calls between processes, on Redis. The base of RedisMailboxes (redis_mailbox.py).

Used by the heartbeat (beat), the web (alive, ping), the gauges (held, memory), the janitor (living, launchers), leaders
(lease), engine/control.py (listen) and everything that changes the desired state (call). Relies on the server's clock
alone, so that nodes need not agree on the time.
"""

import json
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from storage.redis_keys import launcher_keys
from storage.redis_scripts import RedisStore

CALLS_KEPT = 1000
LONGEST_SIGN_MS = 60_000
"""No sign of life is valid for longer. One that seems to be was given before the server's clock was set back."""


class RedisPresence(RedisStore):
    """Signs of life, leases, and calls to read the desired state again."""

    def beat(self, process: str, info: Mapping[str, Any], *, ttl: float, metrics: bytes = b"") -> float:
        """Record that `process` lives for `ttl` more seconds, and return the server's time.

        `info` must be JSON-able. `metrics` are stored under a key of their own, for those who need them.
        """
        keys = [self.keys.processes, *([self.keys.metrics(process)] if metrics else [])]
        return _seconds(self._run("beat", keys, [process, int(ttl * 1000), json.dumps(dict(info)), metrics]))

    def time(self) -> float:
        """Return the server's time in seconds since the epoch."""
        return _seconds(self._call("TIME"))

    def alive(self) -> dict[str, dict[str, Any]]:
        """Return the info of each process that is within its ttl, in one round trip."""
        flat = iter(self._run("alive", [self.keys.processes], []))
        return {name.decode(): json.loads(info) for name, info in zip(flat, flat, strict=True)}

    def living(self) -> set[str]:
        """Return only the names of the processes that are alive."""
        return {name.decode() for name in self._run("alive", [self.keys.processes], ["names"])}

    def metrics(self, processes: Sequence[str]) -> dict[str, bytes]:
        """Return each process's metrics as of its last beat, leaving out those that are not alive or sent none."""
        found = self._call("MGET", *map(self.keys.metrics, processes)) if processes else []
        return {process: told for process, told in zip(processes, found, strict=True) if told is not None}

    def launchers(self, nodes: Sequence[str]) -> dict[str, bool]:
        """Return whether each node's launcher lives, leaving out (older) launchers that give no signs of life."""
        found = {}
        for node in nodes:  # one by one: in a Redis cluster each node's keys have their own slot
            alive, known = launcher_keys(node)
            left = self._call("PTTL", alive)  # below 0: no such key
            if left >= 0 or self._call("EXISTS", known):
                found[node] = 0 <= left <= LONGEST_SIGN_MS
        return found

    def lease(self, name: str, token: str, *, ttl: float) -> bool:
        """Take or renew a lease for `ttl` seconds; return False while another token holds it."""
        return bool(self._run("lease", [self.keys.lease(name)], [token, int(ttl * 1000)]))

    def held(self, name: str) -> bool:
        """Return whether any token holds this lease."""
        return bool(self._call("EXISTS", self.keys.lease(name)))

    def memory(self) -> tuple[int, int]:
        """Return the bytes that the server uses and the bytes that it may use (0: no limit)."""
        found = self._call("INFO", "memory")
        return int(found["used_memory"]), int(found.get("maxmemory", 0))

    def give_up(self, name: str, token: str) -> None:
        """Release the lease, unless another token holds it by now."""
        self._run("give_up", [self.keys.lease(name)], [token])

    def call(self, topic: str) -> None:
        """Tell all processes to read `topic` again. Calls are hints: about the newest thousand are kept."""
        self._call("XADD", self.keys.calls, "MAXLEN", "~", CALLS_KEPT, "*", "t", topic)

    def listen(self, last: str | None, *, block: float) -> tuple[str, list[str]]:
        """Return the new `last` and the topics called since `last`, each once (None: from now on).

        Waits up to `block` seconds, but never longer than two.
        """
        if last is None:
            newest = self._call("XREVRANGE", self.keys.calls, "+", "-", "COUNT", 1)
            last = newest[0][0].decode() if newest else "0-0"
        milliseconds = max(1, int(min(block, self.BLOCK_PIECE) * 1000))
        reply = self._wait("XREAD", "COUNT", CALLS_KEPT, "BLOCK", milliseconds, "STREAMS", self.keys.calls, last)
        if not reply:
            return last, []
        entries = next(iter(reply.values()))[0]
        return entries[-1][0].decode(), list(dict.fromkeys(fields[b"t"].decode() for _, fields in entries))

    def ping(self) -> float:
        """Return the round-trip time of a small write in seconds. A full or read-only server still answers PING."""
        start = perf_counter()
        self._call("SET", self.keys.probe, 1, "EX", 60)
        return perf_counter() - start


def _seconds(time: Sequence[bytes | int]) -> float:
    """Convert the reply of TIME to seconds since the epoch."""
    seconds, microseconds = time
    return int(seconds) + int(microseconds) / 1e6
