"""Starts the system and a FakeMail for the whole-way benchmarks, pins them, watches them from outside and stops them.

`frozen=True` runs the same processes with the frozen work function as classifier (frozen_process.py). Progress is read
from the system's database file, on the other core, so that watching costs the system nothing.
"""

import json
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.rig import OTHER, OURS, Figures, cpu_seconds, end, memory_kib, spawn, wait_for
from benchmarks.work import email
from engine.listening import free_port

SEND = 2000

Buckets = dict[str, dict[float, float]]
"""Process → upper end of a histogram's bucket → how many were in it or below."""


def call(url: str, body: Any = None, *, method: str | None = None, seconds: float = 60.0) -> Any:
    """Make one JSON request; return the answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        return json.loads(answer.read() or b"null")


def answers(url: str) -> bool:
    """Return whether the URL answers with a 2xx."""
    try:
        call(url, seconds=2)
    except OSError:
        return False
    return True


class FakeMail:
    """The simulator in its own process, on the other core."""

    def __init__(self, url: str, process: "subprocess.Popen[Any]") -> None:
        self.url, self.process = url, process
        self.sent = 0

    def send(self, count: int, *, start: int | None = None, at_once: int = SEND) -> list[str]:
        """Put emails into the account, with one notification per `at_once`; return their ids."""
        first = self.sent if start is None else start
        ids: list[str] = []
        for at in range(first, first + count, at_once):
            emails = [email(number) for number in range(at, min(at + at_once, first + count))]
            ids += call(f"{self.url}/simulator/send_batch", {"emails": emails})["email_ids"]
        self.sent = first + count
        return ids


@contextmanager
def fakemail(path: Path, *, core: int | None = OTHER) -> Iterator[FakeMail]:
    """Run a FakeMail with an empty account."""
    port = free_port()
    argv = [sys.executable, "run.py", "simulator", "--port", str(port)]
    process = spawn(argv, core=core, environ={"DATA_DIR": str(path / "fakemail"), "LOG_LEVEL": "WARNING"})
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(f"{url}/simulator/status"), "FakeMail")
        yield FakeMail(url, process)
    finally:
        end(process)


class System:
    """The processor: `url`, and its processes by name."""

    def __init__(self, url: str, data: Path, process: "subprocess.Popen[Any]") -> None:
        self.url, self.data, self.process = url, data, process

    def get(self, path: str) -> Any:
        """Make a GET request."""
        return call(f"{self.url}{path}")

    def stored(self) -> int:
        """Return the number of results in the database."""
        try:
            with sqlite3.connect(f"file:{self.data / 'emails.db'}?mode=ro", uri=True, timeout=5) as database:
                return int(database.execute("SELECT coalesce(max(id), 0) FROM result").fetchone()[0])
        except sqlite3.OperationalError:
            return 0

    def wait_stored(self, count: int, *, patience: float = 60.0, every: float = 0.02) -> None:
        """Return when `count` are stored; raise TimeoutError if nothing changes for `patience` seconds."""
        last, moved = -1, time.monotonic()
        while (now := self.stored()) < count:
            if now > last:
                last, moved = now, time.monotonic()
            elif time.monotonic() - moved > patience:
                raise TimeoutError(f"stands still at {now} of {count}")
            time.sleep(every)

    def processes(self) -> dict[str, int]:
        """Return name → pid for the launcher and all its descendants."""
        found = {"launcher": self.process.pid}
        parents = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
        below = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in below} - below:
            below |= more
        for pid in sorted(below - {self.process.pid}):
            found[_name(pid, found)] = pid
        return found

    def resources(self) -> dict[str, dict[str, float]]:
        """Return process → CPU seconds so far and peak resident MiB."""
        return {
            name: {"cpu_s": cpu_seconds(pid), "peak_mib": memory_kib(pid) / 1024}
            for name, pid in self.processes().items()
        }

    def balanced(self) -> dict[str, int]:
        """Return the audit; raise AssertionError if the books do not balance."""
        audit: dict[str, int] = self.get("/audit")
        parts = ("results", "queued", "retrying", "dead", "discarded", "erased")
        assert audit["listed"] == sum(audit[part] for part in parts), audit
        assert audit["unaccounted"] == 0, audit
        return audit

    def hub_lags(self) -> Buckets:
        """Return how late the hub's turns have been so far, from /metrics."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            return _buckets(answer.read().decode(), "emailproc_hub_lag_seconds_bucket")


def _name(pid: int, taken: Mapping[str, int]) -> str:
    argv = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    environ = Path(f"/proc/{pid}/environ").read_text().split("\0")
    name = next((each.partition("=")[2] for each in environ if each.startswith("EMAILPROC_PROCESS=")), "")
    if not name:
        name = "valkey" if "valkey" in argv[0] else Path(argv[0]).name
    return name if name not in taken else f"{name}-{pid}"


def _buckets(text: str, metric: str) -> Buckets:
    buckets: Buckets = {}
    for line in text.splitlines():
        if line.startswith(metric):
            labels, _, value = line.partition("}")
            fields = dict(part.split("=", 1) for part in labels.partition("{")[2].split(","))
            bound = float(fields["le"].strip('"'))
            buckets.setdefault(fields.get("process", '""').strip('"'), {})[bound] = float(value)
    return buckets


def late(before: Buckets, after: Buckets, share: float = 0.999) -> Figures:
    """Return, per process, the bucket bound under which this share of the hub's delays between the two readings was."""
    found = {}
    for process, counts in after.items():
        since = {bound: count - before.get(process, {}).get(bound, 0.0) for bound, count in counts.items()}
        total = max(since.values())
        found[process] = min((bound for bound, count in since.items() if total and count >= share * total), default=0.0)
    return found


@contextmanager
def system(
    path: Path, *, fakemail_url: str | None, core: int | None = OURS, frozen: bool = False, **settings: str
) -> Iterator[System]:
    """Run `run.py serve` on fresh data, with all its processes on one core (None: on any)."""
    port, data = free_port(), path / "data"
    environ = {"DATA_DIR": str(data), "PORT": str(port), "LOG_LEVEL": "WARNING", "PYTHONWARNINGS": "ignore", **settings}
    if fakemail_url:
        environ["FAKEMAIL_API_URL"] = f"{fakemail_url}"
    argv = [sys.executable, "-m", "benchmarks.frozen_serve"] if frozen else [sys.executable, "run.py", "serve"]
    process = spawn(argv, core=core, environ=environ)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: process.poll() is not None or answers(f"{url}/health/ready"), "the system")
        yield System(url, data, process)
    finally:
        end(process, 20)


def since(before: Mapping[str, Mapping[str, float]], after: Mapping[str, Mapping[str, float]], count: int) -> Figures:
    """Return, per process, µs of CPU per email between two calls of `resources()`, and the peak MiB."""
    return {
        name: {
            "cpu_us": (now["cpu_s"] - before.get(name, {}).get("cpu_s", 0.0)) / count * 1e6,
            "peak_mib": now["peak_mib"],
        }
        for name, now in after.items()
    }
