"""Signs of life, leases and calls between processes, on Redis. The base of RedisMailboxes (redis_mailbox.py).

Used by the heart (beat), the web (alive, ping), the gauges (held, memory), the janitor (living, launchers), whoever leads something
(lease), engine/control.py (listen) and whoever changes what shall be (call). Relies on the server's clock alone, so nodes need not
agree on the time.
"""

import json
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from storage.redis_keys import launcher_keys
from storage.redis_scripts import RedisStore

CALLS_KEPT = 1000
LONGEST_SIGN_MS = 60_000
"""No sign of life is given for longer: one that is was given before the server's clock was set back."""


class RedisPresence(RedisStore):
    """Who lives, who may, and who should look again."""

    def beat(self, process: str, info: Mapping[str, Any], *, ttl: float, metrics: bytes = b"") -> float:
        """Say that `process` lives for `ttl` more seconds; `info` is JSON-able, `metrics` only for who asks for them. The server's time."""
        keys = [self.keys.processes, *([self.keys.metrics(process)] if metrics else [])]
        return _seconds(self._run("beat", keys, [process, int(ttl * 1000), json.dumps(dict(info)), metrics]))

    def time(self) -> float:
        """The server's clock, seconds since the epoch."""
        return _seconds(self._call("TIME"))

    def alive(self) -> dict[str, dict[str, Any]]:
        """Processes heard of within their ttl → their info, in one round trip."""
        flat = iter(self._run("alive", [self.keys.processes], []))
        return {name.decode(): json.loads(info) for name, info in zip(flat, flat, strict=True)}

    def living(self) -> set[str]:
        """Their names alone."""
        return {name.decode() for name in self._run("alive", [self.keys.processes], ["names"])}

    def metrics(self, processes: Sequence[str]) -> dict[str, bytes]:
        """Process → its metrics as of its last beat, of those that live and told any."""
        found = self._call("MGET", *map(self.keys.metrics, processes)) if processes else []
        return {process: told for process, told in zip(processes, found, strict=True) if told is not None}

    def launchers(self, nodes: Sequence[str]) -> dict[str, bool]:
        """Node → whether its launcher lives; those whose launcher gives no signs (an older one's) are left out."""
        found = {}
        for node in nodes:  # one by one: in a cluster each node's keys have a slot of their own
            alive, known = launcher_keys(node)
            left = self._call("PTTL", alive)  # below 0: there is none
            if left >= 0 or self._call("EXISTS", known):
                found[node] = 0 <= left <= LONGEST_SIGN_MS
        return found

    def lease(self, name: str, token: str, *, ttl: float) -> bool:
        """Take or renew a lease for `ttl` seconds; False while another token holds it."""
        return bool(self._run("lease", [self.keys.lease(name)], [token, int(ttl * 1000)]))

    def held(self, name: str) -> bool:
        """Whether anybody holds this lease."""
        return bool(self._call("EXISTS", self.keys.lease(name)))

    def memory(self) -> tuple[int, int]:
        """Bytes that the server uses, and those that it may use (0: no limit)."""
        found = self._call("INFO", "memory")
        return int(found["used_memory"]), int(found.get("maxmemory", 0))

    def give_up(self, name: str, token: str) -> None:
        """Give the lease back; one that has passed to somebody else stays with them."""
        self._run("give_up", [self.keys.lease(name)], [token])

    def call(self, topic: str) -> None:
        """Say "read again" of `topic` to all processes; calls are hints, the newest thousand are kept."""
        self._call("XADD", self.keys.calls, "MAXLEN", "~", CALLS_KEPT, "*", "t", topic)

    def listen(self, last: str | None, *, block: float) -> tuple[str, list[str]]:
        """Calls after `last` → (new last, topics, each once); waits up to `block` seconds, two at the most."""
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
        """Round trip of a small write in seconds: a server that is full or read-only would still answer PING."""
        start = perf_counter()
        self._call("SET", self.keys.probe, 1, "EX", 60)
        return perf_counter() - start


def _seconds(time: Sequence[bytes | int]) -> float:
    """What TIME answers, as seconds since the epoch."""
    seconds, microseconds = time
    return int(seconds) + int(microseconds) / 1e6
