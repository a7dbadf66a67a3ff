"""The whole system as a user starts it: `run.py serve` in its own folder, with real processes and real stores."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.servers import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
LISTENING = re.compile(r'listening on (http://[^\s"]+)')


@dataclass
class System:
    """A running system; `start` after a kill finds the same data."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    url: str = ""

    def start(self, seconds: float = 60.0) -> "System":
        """Start the system and wait until it is healthy."""
        port = self.url.rsplit(":", 1)[-1] if self.url else "0"
        began = len(self.log())
        with self.log_path.open("ab") as log:
            process = self.process = subprocess.Popen(
                [sys.executable, "run.py", "serve"],
                cwd=ROOT,
                env=self.environ(port),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

        def listens_or_ended() -> bool:
            return bool(LISTENING.search(self.log()[began:])) or process.poll() is not None

        wait_until(listens_or_ended, f"listening\n{self.log()}", seconds)
        assert process.poll() is None, self.log()
        found = LISTENING.search(self.log()[began:])
        assert found
        self.url = found[1]
        health: dict[str, Any] = {}

        def healthy() -> bool:
            health.update(self.get("/health"))
            return bool(health["status"] == "healthy")

        try:
            wait_until(healthy, "healthy", seconds)
        except TimeoutError as error:
            raise AssertionError(f"{error}: {health}\n{self.log()}") from None
        return self

    def environ(self, port: str) -> dict[str, str]:
        """Return the environment for its processes."""
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("REDIS", "DATABASE", "EMAILPROC"))
        }
        return {**clean, "DATA_DIR": str(self.folder), "PORT": port, "PROCESSOR_RETRY_DELAY_MS": "50", **self.env}

    @contextmanager
    def faults(self, **faults: Any) -> Iterator[None]:
        """Apply these simulator faults during the block."""
        self.request("PUT", "/simulator/faults", json=faults)
        try:
            yield
        finally:
            self.request("PUT", "/simulator/faults", json={})

    @property
    def log_path(self) -> Path:
        """The file with the system's output."""
        return self.folder.with_suffix(".log")

    def log(self) -> str:
        """Return what the system has printed."""
        return self.log_path.read_text() if self.log_path.exists() else ""

    def kill(self) -> None:
        """Send SIGKILL to the whole process group, as a power cut would end it."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """Send SIGTERM; return the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(20)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Make any request."""
        return requests.request(method, self.url + path, timeout=30, **options)

    def get(self, path: str, **params: Any) -> Any:
        """Make a GET request; return the JSON."""
        return self.request("GET", path, params=params).json()

    def post(self, path: str, body: Any) -> Any:
        """Make a POST request; return the JSON."""
        answer = self.request("POST", path, json=body)
        assert answer.ok, answer.text
        return answer.json()

    def send(self, *emails: dict[str, Any]) -> list[str]:
        """Send emails through the simulator; return their ids."""
        return list(self.post("/simulator/send_batch", {"emails": list(emails)})["email_ids"])

    def script(self, *argv: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run one of the project's commands against the system."""
        env = {**os.environ, "BASE_URL": self.url}
        return subprocess.run(
            [sys.executable, *argv], cwd=ROOT, env=env, capture_output=True, text=True, timeout=seconds, check=False
        )

    def settle(self, listed: int, seconds: float = 90.0) -> dict[str, int]:
        """Wait until `listed` emails are listed and none is open; return the audit."""
        audit: dict[str, int] = {}

        def settled() -> bool:
            audit.update(self.get("/audit"))
            return audit["listed"] >= listed and audit["queued"] == audit["retrying"] == 0

        try:
            wait_until(settled, f"{listed} emails settled", seconds)
        except TimeoutError as error:
            state = {path: self.get(path) for path in ("/audit", "/actors", "/health")}
            raise AssertionError(f"{error}: {state}\n{self.log()}") from None
        return audit


class Simulator:
    """A FakeMail in its own process."""

    def __init__(self, folder: Path, secret: str = "") -> None:
        folder.mkdir()
        self.log = folder / "log"
        command = [sys.executable, "run.py", "simulator", "--port", "0"]
        env = {"DATA_DIR": str(folder), "PATH": "/usr/bin:/bin", "WEBHOOK_SECRET": secret}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        wait_until(lambda: "http://" in self.log.read_text(), "the simulator's address", 60)
        self.url = "http://" + self.log.read_text().partition("http://")[2].split()[0].rstrip(".,\"'")
        wait_until(self.answers, "the simulator's answer", 60)

    def answers(self) -> bool:
        """Return whether it responds."""
        try:
            return requests.get(f"{self.url}/simulator/status", timeout=2).ok
        except requests.RequestException:
            return False

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Make any request; return the JSON."""
        answer = requests.request(method, self.url + path, json=body, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def send(self, *emails: dict[str, Any]) -> None:
        """Send emails, with one notification."""
        self.call("POST", "/simulator/send_batch", {"emails": list(emails)})

    def stop(self) -> None:
        """Send SIGTERM and wait."""
        self.process.terminate()
        self.process.wait(10)


def mails(count: int, prefix: str = "mail") -> list[dict[str, str]]:
    """Return `count` different emails, each with its own id."""
    return [
        {"id": f"{prefix}-{number}", "subject": f"Meeting {number}", "body": "Shall we meet on Monday at 10?"}
        for number in range(count)
    ]


def elapsed(since: float) -> float:
    """Return the seconds since a moment of time.monotonic()."""
    return time.monotonic() - since
