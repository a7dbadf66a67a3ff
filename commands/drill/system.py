"""The system under drill: `run.py serve` and `run.py simulator` as real processes, started and killed at will.

Used by the drill's faults and by the chaos tests. This code stays outside of what is drilled: it knows the system only
by its command line, its HTTP interface and its process ids.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import requests

from commands.drill import processes
from commands.drill.processes import Seen
from commands.venv import ROOT
from engine.listening import free_port
from settings import Settings

READY_S = 60.0


class DrillError(Exception):
    """The drill itself cannot go on."""


def clean_environ() -> dict[str, str]:
    """Return our environment without any setting of the email processor."""
    names = {each.name.upper() for each in fields(Settings)}
    return {
        name: value
        for name, value in os.environ.items()
        if name.removesuffix("_FILE") not in names and not name.startswith("EMAILPROC_")
    }


def until(what: str, holds: Callable[[], Any], seconds: float, pause: float = 0.05) -> Any:
    """Return the first true value of `holds()`. Raises DrillError, naming `what`, if none comes in time."""
    end = time.monotonic() + seconds
    while not (value := holds()):
        if time.monotonic() > end:
            raise DrillError(f"{what} did not come within {seconds:g} s")
        time.sleep(pause)
    return value


@dataclass
class Program:
    """One of our two programs, `run.py COMMAND`. Its log in `folder` is appended to at each start."""

    command: list[str]
    folder: Path
    environ: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    root: Path = ROOT
    """The folder of the program; another copy may be another version."""
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it as the leader of a new session."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{self.command[0]}.log").open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603  (our own program)
                [sys.executable, str(self.root / "run.py"), *self.command],
                env={**clean_environ(), **self.environ},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.starts += 1

    @property
    def pid(self) -> int:
        """The process id."""
        assert self.process is not None
        return self.process.pid

    def ended(self) -> int | None:
        """Return the exit code, or None while it runs (or was never started)."""
        return None if self.process is None else self.process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(30)

    def stop(self, seconds: float = 15.0) -> int:
        """Send SIGTERM and return the exit code; kill the process if it does not end in time."""
        if self.process is None:
            return 0
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL


class FakeMail(Program):
    """The simulator alone, as a remote FakeMail; its account survives every kill."""

    def ready(self, seconds: float = READY_S) -> None:
        """Wait until it answers."""
        until("FakeMail's first answer", lambda: self.status() is not None, seconds)

    def status(self) -> dict[str, Any] | None:
        """Return its status, or None if it does not answer."""
        answer: dict[str, Any] | None = _json(f"{self.url}/simulator/status")
        return answer

    def set_faults(self, **faults: Any) -> bool:
        """Inject these faults (none: stop all); return whether FakeMail accepted that."""
        try:
            return requests.put(f"{self.url}/simulator/faults", json=faults, timeout=5).ok
        except requests.RequestException:
            return False


@dataclass
class System(Program):
    """The email processor: launcher, front, workers, and its Valkey if that is embedded."""

    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, timeout: float = 10.0, **params: Any) -> Any:
        """GET JSON; None if the system is away or refuses."""
        return _json(self.url + path, self.session, timeout, params)

    def ready(self, seconds: float = READY_S) -> None:
        """Wait until it is ready."""
        until("a ready system", lambda: self.get("/health/ready") is not None, seconds)

    def tree(self) -> list[Seen]:
        """Return the processes below the launcher."""
        return processes.below(self.pid) if self.ended() is None and self.process is not None else []

    def of_role(self, *roles: str) -> list[int]:
        """Return the process ids of these roles."""
        return [seen.pid for seen in self.tree() if seen.role in roles]

    def signal_roles(self, number: signal.Signals, *roles: str) -> list[int]:
        """Signal every process of these roles; return the ids of those it reached."""
        return [pid for pid in self.of_role(*roles) if processes.send(pid, number)]

    def kill_all(self) -> None:
        """SIGKILL everything at once, the launcher first, as when a machine stops."""
        family = self.tree()
        self.kill()
        for seen in family:
            processes.send(seen.pid, signal.SIGKILL)


def fakemail(folder: Path, **environ: str) -> FakeMail:
    """Return a FakeMail with its account in `folder`, not started."""
    made = FakeMail(["simulator"], folder, {"DATA_DIR": str(folder), "LOG_LEVEL": "WARNING", **environ})
    made.command += ["--port", str(made.port)]
    return made


def system(folder: Path, fakemail_url: str, **environ: str) -> System:
    """Return an email processor with its data in `folder`, not started; `environ` adds to the drill's settings."""
    made = System(["serve"], folder, {})
    made.session.trust_env = False
    made.environ = {
        "DATA_DIR": str(folder / "data"),
        "PORT": str(made.port),
        "FAKEMAIL_API_URL": fakemail_url,
        "POLL_INTERVAL_S": "5",
        "PROCESSOR_PROCESSES": "2",
        "PROCESSOR_RETRY_DELAY_MS": "200",
        "LOG_LEVEL": "WARNING",
        **environ,
    }
    return made


def _json(
    url: str, session: requests.Session | None = None, timeout: float = 5.0, params: Mapping[str, Any] | None = None
) -> Any:
    try:
        answer = (session or requests).get(url, timeout=timeout, params=params)
        return answer.json() if answer.ok else None
    except (requests.RequestException, ValueError):
        return None
