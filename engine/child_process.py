"""One process of a node as its launcher sees it: what to start, and what became of it so far.

Used by engine/launcher.py alone, which decides when. One outlives the system's processes that come and go for it. Free of gevent.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.backoff import backoff
from engine.child import AFTER_CRASH, HEARTBEAT, LAUNCHER, RESTARTS

STABLE_S = 30.0
"""A process that lived so long starts a new row of failures when it ends."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A process to keep running. `essential`: when it refuses its settings, the whole node ends; else it is just left out."""

    name: str
    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    essential: bool = True


class ChildProcess:
    """A ProcessSpec and the process that runs for it, if any. Times are monotonic seconds."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.process: subprocess.Popen[bytes] | None = None
        self.heartbeat = -1
        self.started_at = 0.0
        self.beat_at: float | None = None
        self.start_at = 0.0
        self.starts = 0
        self.failures = 0
        self.crashed = False
        self.refused = False

    def start(self, environ: Mapping[str, str], lock: int) -> None:
        """Start the process; it inherits the lock, and the pipe for its heartbeats. Raises OSError."""
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        os.set_blocking(theirs, False)
        told = {
            LAUNCHER: str(os.getpid()),
            HEARTBEAT: str(theirs),
            AFTER_CRASH: "1" if self.crashed else "",
            RESTARTS: str(self.starts),
        }
        try:
            self.process = subprocess.Popen(  # noqa: S603  (the command is run.py's own)
                self.spec.argv,
                env={**environ, **self.spec.env, **told},
                pass_fds=(theirs, lock),
                stdin=subprocess.DEVNULL,
            )
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self.heartbeat, self.beat_at, self.started_at = ours, None, time.monotonic()
        self.starts += 1

    def listen(self) -> bool:
        """Read the heartbeats that have come; False when there will be no more."""
        try:
            while data := os.read(self.heartbeat, 4096):
                self.beat_at = time.monotonic()
                if len(data) < 4096:
                    return True
        except BlockingIOError:
            return True
        return False

    def silent_for(self) -> float:
        """Seconds since its last heartbeat, or since its start."""
        return time.monotonic() - (self.started_at if self.beat_at is None else self.beat_at)

    def forgive(self, seconds: float) -> None:
        """We were stopped ourselves for so long: its silence in that time says nothing."""
        now = time.monotonic()
        self.started_at = min(now, self.started_at + seconds)
        if self.beat_at is not None:
            self.beat_at = min(now, self.beat_at + seconds)

    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return None if self.process is None else self.process.poll()

    def ended(self, *, crashed: bool) -> float:
        """Note that it has ended; returns the seconds until the next start: none at first, then growing to 5."""
        os.close(self.heartbeat)
        lived, self.process, self.heartbeat = time.monotonic() - self.started_at, None, -1
        self.crashed = crashed
        return self.put_off(again=lived < STABLE_S)

    def put_off(self, *, again: bool = True) -> float:
        """Set when to start next; returns the seconds until then."""
        self.failures = self.failures + 1 if again else 1
        delay = 0.0 if self.failures == 1 else backoff(self.failures - 1, base=0.5, cap=5.0)
        self.start_at = time.monotonic() + delay
        return delay

    def send(self, number: signal.Signals) -> None:
        """Signal the process, if it runs."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
