"""Carries out the drill's faults, one method for each kind in commands/drill/plan.py, and records what happened when.

Lasting faults (a frozen process, a held lock, FakeMail's faults) run in threads of their own while others strike, and
are over when `end_all` returns.
"""

import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis

from commands.drill import processes
from commands.drill.evidence import TROUBLES, Evidence
from commands.drill.proxy import Proxy
from commands.drill.system import FakeMail, System
from storage import embedded

STOP_LIMIT_S = 10.0
FREEZE_S = (6.0, 9.0)
ERRORS = {
    "error_rate": 0.2,
    "rate_limit_rate": 0.1,
    "garbage_rate": 0.1,
    "latency_ms": 20,
    "drop_rate": 0.3,
    "duplicate_rate": 0.3,
    "delay_rate": 0.2,
    "reorder_rate": 0.2,
}


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that struck `at` a time (seconds since the epoch)."""

    kind: str
    at: float


class Faults:
    """Runs each planned fault by its kind (`ways`).

    `struck` records the faults, `complaints` what the system did wrong.
    """

    def __init__(
        self,
        system: System,
        fakemail: FakeMail,
        evidence: Evidence,
        *,
        redis_url: str | None,
        proxy: Proxy | None,
        rng: random.Random,
    ) -> None:
        self.system, self.fakemail, self.evidence = system, fakemail, evidence
        self.redis_url, self.proxy, self.rng = redis_url, proxy, rng
        self.struck: list[Struck] = []
        self.complaints: list[str] = []
        self._ended = threading.Event()
        self._lasting: list[threading.Thread] = []
        self.ways: dict[str, Callable[[], bool]] = {
            "group": self._group,
            "parent": self._parent,
            "front": self._front,
            "worker": self._worker,
            "workers": self._workers,
            "valkey": self._valkey,
            "zombie": self._zombie,
            "frozen-front": self._frozen_front,
            "frozen-valkey": self._frozen_valkey,
            "restart": self._restart,
            "lock": self._lock,
            "fakemail-errors": self._fakemail_errors,
            "fakemail-kill": self._fakemail_kill,
            "fakemail-freeze": self._fakemail_freeze,
            "cut": self._cut,
            "lost-replies": self._lost_replies,
            "held": self._held,
            "backends": self._backends,
            "flush": self._flush,
        }

    def strike(self, kind: str) -> None:
        """Carry out one fault. One that finds no process to strike (all are down already) is not counted."""
        at = time.time()
        if self.ways[kind]():
            self.struck.append(Struck(kind, at))

    def mend(self) -> None:
        """Restart what has ended by itself, as an init system would. If the launcher has, that is a complaint."""
        code = self.system.ended()
        if code is not None:
            self.complaints.append(f"the launcher ended by itself with code {code}")
            time.sleep(0.5)
            self.system.start()

    def end_all(self) -> None:
        """End all faults."""
        self._ended.set()
        for thread in self._lasting:
            thread.join(60)
        self.system.signal_roles(signal.SIGCONT, "front", "worker", "valkey")
        if self.proxy:
            self.proxy.tell("go")
        self.fakemail.signal(signal.SIGCONT)
        if self.fakemail.ended() is not None:
            self.fakemail.start()
        self.fakemail.ready()
        self.fakemail.set_faults()
        self.mend()

    # -- kills -----------------------------------------------------------------------------------------------------------

    def _group(self) -> bool:
        self.system.kill_all()
        self.system.start()
        return True

    def _parent(self) -> bool:
        self.system.kill()
        self.system.start()
        return True

    def _front(self) -> bool:
        return bool(self.system.signal_roles(signal.SIGKILL, "front", "all"))

    def _worker(self) -> bool:
        pids = self.system.of_role("worker", "all")
        return bool(pids) and processes.send(self.rng.choice(pids), signal.SIGKILL)

    def _workers(self) -> bool:
        return bool(self.system.signal_roles(signal.SIGKILL, "worker"))

    def _valkey(self) -> bool:
        return bool(self.system.signal_roles(signal.SIGKILL, "valkey"))

    # -- freezes ---------------------------------------------------------------------------------------------------------

    def _zombie(self) -> bool:
        pids = self.system.of_role("worker")
        return bool(pids) and self._freeze(self.rng.choice(pids), self.rng.uniform(*FREEZE_S))

    def _frozen_front(self) -> bool:
        pids = self.system.of_role("front")
        return bool(pids) and self._freeze(pids[0], self.rng.uniform(*FREEZE_S))

    def _frozen_valkey(self) -> bool:
        pids = self.system.of_role("valkey")
        return bool(pids) and self._freeze(pids[0], self.rng.uniform(2, 7))

    def _freeze(self, pid: int, seconds: float) -> bool:
        frozen = processes.Held(pid)
        if not frozen.send(signal.SIGSTOP):
            return False
        self._for(seconds, lambda: frozen.send(signal.SIGCONT))
        return True

    # -- the system as a whole, its stores, FakeMail -----------------------------------------------------------------------

    def _restart(self) -> bool:
        if self.system.ended() is not None or not self.system.tree():
            return False  # it has only just started, and SIGTERM would end it like any program
        began = time.monotonic()
        code = self.system.stop(STOP_LIMIT_S + 5)
        took = time.monotonic() - began
        if code != 0 or took > STOP_LIMIT_S:
            self.complaints.append(f"SIGTERM: ended with code {code} after {took:.1f} s")
        self.system.start()
        return True

    def _lock(self) -> bool:
        seconds = self.rng.uniform(2, 8)

        def hold() -> None:
            try:
                with self.evidence.locked():
                    self._ended.wait(seconds)
            except TROUBLES:
                return

        self._go(hold)
        return True

    def _fakemail_errors(self) -> bool:
        told = self.fakemail.set_faults(**ERRORS)
        self._for(4.0, self.fakemail.set_faults)
        return told

    def _fakemail_kill(self) -> bool:
        self.fakemail.kill()
        self._ended.wait(self.rng.uniform(0, 3))
        self.fakemail.start()
        return True

    def _fakemail_freeze(self) -> bool:
        self.fakemail.signal(signal.SIGSTOP)
        self._for(4.0, lambda: self.fakemail.signal(signal.SIGCONT))
        return True

    def _cut(self) -> bool:
        return self._tell_proxy("cut")

    def _lost_replies(self) -> bool:
        return self._tell_proxy(f"lose {self.rng.randint(1, 5)}")

    def _held(self) -> bool:
        self._for(self.rng.uniform(2, 7), lambda: self._tell_proxy("go"))
        return self._tell_proxy("hold")

    def _tell_proxy(self, line: str) -> bool:
        if self.proxy:
            self.proxy.tell(line)
        return self.proxy is not None

    def _backends(self) -> bool:
        try:
            return self.evidence.end_backends() > 0
        except TROUBLES:
            return False

    def _flush(self) -> bool:
        url = self.redis_url or embedded.url_of(self.system.folder / "data")
        if url is None:
            return False
        try:
            with redis.Redis.from_url(url, socket_timeout=5) as client:
                return bool(client.flushall())
        except redis.RedisError:
            return False

    def _for(self, seconds: float, then: Callable[[], object]) -> None:
        """Call `then` after `seconds`, or when all faults end."""

        def last() -> None:
            self._ended.wait(seconds)
            then()

        self._go(last)

    def _go(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._lasting.append(thread)
        thread.start()
