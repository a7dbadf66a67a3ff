"""One process of a node as its launcher sees it: what to start, and what became of it so far.

Used only by engine/launcher.py, which decides when to start and stop it. One ChildProcess outlives the operating
system processes that are started for it in turn. Free of gevent.
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
"""The end of a process that lived this long (seconds) counts as the first of a new series of failures."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A process to keep running. If an `essential` one refuses its settings, the node ends; any other is left out."""

    name: str
    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    essential: bool = True


class ChildProcess:
    """A ProcessSpec and the process that currently runs for it, if any. Times are monotonic seconds."""

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
        """Start the process, which inherits the lock and a pipe for its heartbeats. Raises OSError."""
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
        """Read the heartbeats that have arrived; False when there will be no more."""
        try:
            while data := os.read(self.heartbeat, 4096):
                self.beat_at = time.monotonic()
                if len(data) < 4096:
                    return True
        except BlockingIOError:
            return True
        return False

    def silent_for(self) -> float:
        """Return the seconds since the last heartbeat or, before the first one, since the start."""
        return time.monotonic() - (self.started_at if self.beat_at is None else self.beat_at)

    def forgive(self, seconds: float) -> None:
        """Disregard `seconds` of silence, because the launcher itself was stopped for that long."""
        now = time.monotonic()
        self.started_at = min(now, self.started_at + seconds)
        if self.beat_at is not None:
            self.beat_at = min(now, self.beat_at + seconds)

    def exit_code(self) -> int | None:
        """Return the exit code; None while the process runs, negative if a signal ended it."""
        return None if self.process is None else self.process.poll()

    def ended(self, *, crashed: bool) -> float:
        """Note that the process has ended; returns the seconds until the next start: 0 at first, growing to 5."""
        os.close(self.heartbeat)
        lived, self.process, self.heartbeat = time.monotonic() - self.started_at, None, -1
        self.crashed = crashed
        return self.put_off(again=lived < STABLE_S)

    def put_off(self, *, again: bool = True) -> float:
        """Set the time of the next start; returns the seconds until then."""
        self.failures = self.failures + 1 if again else 1
        delay = 0.0 if self.failures == 1 else backoff(self.failures - 1, base=0.5, cap=5.0)
        self.start_at = time.monotonic() + delay
        return delay

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal, if it runs."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
