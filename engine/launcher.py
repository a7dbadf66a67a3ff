"""The launcher: a small process without gevent that owns a node's processes and its embedded store.

Started by `run.py serve` and `run.py worker`; it can also run as PID 1. It locks the data folder, starts services and
children, restarts those that end, kills those that send no heartbeats, and forwards signals; everything ends with it.
It gives up on a child only if that refuses its settings or finds its place taken; otherwise it backs off between
restarts. Data survives, processes do not: killing any process here at any time costs only the time to start again.
"""

import logging
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Protocol

from engine.backoff import backoff
from engine.child_process import ChildProcess, ProcessSpec
from engine.errors import EngineError, InUseError, SettingsError
from engine.locking import locked

__all__ = ["Launcher", "ProcessSpec", "Service"]

log = logging.getLogger(__name__)

REFUSALS = {SettingsError.code: "refuses its settings", InUseError.code: "finds its place taken"}
"""Exit codes after which a child is not started again, each with its text for the log."""

WAIT_S = 0.5
"""How long a turn waits for an event."""


class Service(Protocol):
    """A server that the launcher runs for its children, such as the embedded store."""

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The server's process; None before its start."""

    def start(self) -> None:
        """Start the server and wait until it answers; raises EngineError. Called again if it has died."""

    def stop(self, timeout: float) -> None:
        """Stop the server, by force after `timeout` seconds."""


class _Interrupted(BaseException):
    """A stop signal arrived while services were starting."""


class Launcher:
    """Runs one node. All times are in seconds.

    `environ` returns the environment that children inherit; it is called at each start, so that it can hold a
    service's URL. `check` is called once, after the folder is locked and before anything starts; a SettingsError from
    it ends the launcher.

    A child that sends no heartbeat for `silence` is killed; until its first heartbeat the limit is `grace`. A turn
    that takes `late` longer than planned means that the launcher itself was stopped or busy: that time is not held
    against any child.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        *,
        lock: Path,
        environ: Callable[[], Mapping[str, str]],
        services: Sequence[Service] = (),
        check: Callable[[], object] = lambda: None,
        silence: float = 15.0,
        grace: float = 60.0,
        stop_children: float = 7.0,
        stop_services: float = 2.0,
        patience: float = 2.0,
        late: float = 2.0,
    ) -> None:
        self.children = [ChildProcess(spec) for spec in specs]
        self.lock, self.environ, self.services = lock, environ, list(services)
        self.check = check
        self.silence, self.grace, self.patience, self.late = silence, grace, patience, late
        self.stop_children, self.stop_services = stop_children, stop_services
        self.exit_code: int | None = None
        self._interruptible = False
        self._lock_fd = -1
        self._service_failures = 0
        self._service_at = 0.0

    def run(self) -> int:
        """Run until a signal, or until an essential child refuses to start; returns the exit code.

        Raises InUseError if another node uses the folder.
        """
        with ExitStack() as stack:
            self._lock_fd = stack.enter_context(locked(self.lock, self.patience))
            self.check()
            self._selector = stack.enter_context(selectors.DefaultSelector())
            stack.enter_context(self._signals())
            try:
                self._start_services()
                while self.exit_code is None:
                    self._turn()
            finally:
                self._stop()
        return self.exit_code or 0

    # -- a turn ----------------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        began = time.monotonic()
        self._mend_services()
        for child in self.children:
            if child.process is None and not child.refused and time.monotonic() >= child.start_at:
                self._start(child)
        self._wait(WAIT_S)
        late = time.monotonic() - began - WAIT_S
        for child in self.children:
            if child.process is not None:
                self._look_at(child, late)
        self._reap_orphans()

    def _start(self, child: ChildProcess) -> None:
        try:
            child.start(self.environ(), self._lock_fd)
        except OSError as error:
            log.error("%s cannot be started (%s); again in %.1f s", child.spec.name, error, child.put_off())  # noqa: TRY400
            return
        self._selector.register(child.heartbeat, selectors.EVENT_READ, child)
        log.log(
            logging.INFO if child.starts == 1 else logging.WARNING,
            "process %s %s (pid %d)",
            child.spec.name,
            "started" if child.starts == 1 else "started again",
            child.process.pid if child.process else 0,
        )

    def _look_at(self, child: ChildProcess, late: float) -> None:
        if late > self.late:
            child.forgive(late)
        code = child.exit_code()
        limit = self.grace if child.beat_at is None else self.silence
        if code is not None:
            self._ended(child, code)
        elif child.silent_for() > limit:
            log.error("process %s is silent for %.0f s: killed", child.spec.name, child.silent_for())
            child.send(signal.SIGKILL)

    def _ended(self, child: ChildProcess, code: int) -> None:
        self._stop_listening(child)
        delay = child.ended(crashed=code != 0)
        if code in REFUSALS:
            child.refused = True
            log.error("process %s %s", child.spec.name, REFUSALS[code])
            if child.spec.essential:
                self.exit_code = code
        elif self.exit_code is None:
            cause = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
            log.error("process %s ended %s; starts again in %.1f s", child.spec.name, cause, delay)

    def _wait(self, seconds: float) -> None:
        """Wait until a heartbeat or a signal arrives (SIGCHLD too: a child has ended), or time is up."""
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                with suppress(BlockingIOError):
                    os.read(key.fd, 4096)
            elif not key.data.listen():
                self._stop_listening(key.data)

    def _stop_listening(self, child: ChildProcess) -> None:
        with suppress(KeyError):
            self._selector.unregister(child.heartbeat)

    def _reap_orphans(self) -> None:
        """Reap the orphans that PID 1 inherits; our own children are reaped by `exit_code`."""
        if os.getpid() != 1:
            return
        own = {process.pid for process in self._processes()}
        with suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if ended.si_pid in own:
                    return
                os.waitpid(ended.si_pid, 0)

    def _processes(self) -> Iterator[subprocess.Popen[bytes]]:
        owners: list[ChildProcess | Service] = [*self.children, *self.services]
        for owner in owners:
            if owner.process is not None:
                yield owner.process

    # -- services --------------------------------------------------------------------------------------------------------

    def _start_services(self) -> None:
        self._interruptible = True
        try:
            if self.exit_code is None:
                for service in self.services:
                    service.start()
        except _Interrupted:
            log.info("interrupted while starting")
        finally:
            self._interruptible = False

    def _mend_services(self) -> None:
        for service in self.services:
            if (service.process is None or service.process.poll() is not None) and time.monotonic() >= self._service_at:
                log.error("%s has died; started again", type(service).__name__)
                self._mend(service)

    def _mend(self, service: Service) -> None:
        self._interruptible = True
        try:
            service.start()
        except _Interrupted:
            return
        except (EngineError, OSError) as error:
            self._service_failures += 1
            delay = backoff(self._service_failures, base=0.5, cap=5.0)
            self._service_at = time.monotonic() + delay
            log.error("%s cannot be started (%s); again in %.1f s", type(service).__name__, error, delay)  # noqa: TRY400
        else:
            self._service_failures = 0
        finally:
            self._interruptible = False

    # -- signals and stopping --------------------------------------------------------------------------------------------

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Install our handlers, and a pipe that wakes the selector at any signal; restore the old ones afterwards."""
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        os.set_blocking(theirs, False)
        self._selector.register(ours, selectors.EVENT_READ)
        handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
            signal.SIGTERM: self._asked_to_stop,
            signal.SIGINT: self._asked_to_stop,
            signal.SIGHUP: self._pass_on,
            signal.SIGUSR1: self._pass_on,
            signal.SIGCHLD: lambda _number, _frame: None,
        }
        old_wakeup = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        old = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(old_wakeup)
            os.close(ours)
            os.close(theirs)

    def _asked_to_stop(self, number: int, _frame: FrameType | None) -> None:
        if self.exit_code is not None:  # a second request: end at once; the stores keep what they have acknowledged
            for process in self._processes():
                process.kill()
            os._exit(128 + number)
        self.exit_code = 0
        if self._interruptible:
            raise _Interrupted

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        for child in self.children:
            child.send(signal.Signals(number))

    def _stop(self) -> None:
        """Send the children SIGTERM, and SIGKILL if they take too long; then stop the services in reverse order."""
        if self.exit_code is None:
            self.exit_code = 1
        for child in self.children:
            child.send(signal.SIGTERM)
        if not self._all_ended(self.stop_children):
            for child in self.children:
                if child.exit_code() is None and child.process is not None:
                    log.warning("process %s did not stop within %g s: killed", child.spec.name, self.stop_children)
                    child.send(signal.SIGKILL)
            self._all_ended(1.0)
        for service in reversed(self.services):
            service.stop(self.stop_services)

    def _all_ended(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while any(child.process is not None and child.exit_code() is None for child in self.children):
            if time.monotonic() >= deadline:
                return False
            self._wait(min(0.1, deadline - time.monotonic()))
        return True
