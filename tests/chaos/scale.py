"""`python -m tests.chaos.scale flushall|restored|firstsync|soak|frozen|disk|away`: what shows only at scale or in time.

Each part starts its own system, prints one JSON line of figures per step, and stops what it started. Not run by pytest,
since the parts take minutes.
"""

# ruff: noqa: T201  (a command)

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import redis
import requests

from commands.drill.system import System, clean_environ, system, until
from commands.venv import ROOT
from engine.listening import free_port

LAG = re.compile(r"^emailproc_hub_lag_longest_seconds\{.*\} (\S+)", re.MULTILINE)
REST_S = 20.0


class Mill:
    """A system that follows a FakeMail of generated emails."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.port, self.count = free_port(), 0
        self.mail = self.start_mail()
        url = f"http://127.0.0.1:{self.port}"
        defaults = {"PROCESSOR_PROCESSES": "1", "POLL_INTERVAL_S": "1", "LOG_LEVEL": "WARNING"}
        self.system: System = system(folder / "system", url, **{**defaults, **environ})
        self.url = url
        self.session = requests.Session()

    def start_mail(self) -> "subprocess.Popen[bytes]":
        """Start FakeMail with as many emails as it has received so far."""
        command = [sys.executable, "-m", "tests.chaos.millions", str(self.port), str(self.count)]
        return subprocess.Popen(command, cwd=ROOT)

    def stop_mail(self) -> None:
        """Kill FakeMail."""
        self.mail.kill()
        self.mail.wait()

    def grow(self, count: int) -> None:
        """Have FakeMail receive `count` more emails, and notify the system."""
        self.count += count
        until("FakeMail", lambda: self.post(f"{self.url}/grow", {"count": count}), 20)
        self.post(f"{self.system.url}/webhook", {"history_id": self.count})

    def post(self, url: str, body: dict[str, int]) -> bool:
        """Return whether the request succeeded."""
        with suppress(requests.RequestException):
            return self.session.post(url, json=body, timeout=10).ok
        return False

    def audit(self) -> dict[str, int]:
        """Return the audit; {} if there is no answer."""
        return self.system.get("/audit", timeout=30) or {}

    def done(self) -> bool:
        """Return whether every email has its result."""
        return self.audit().get("results", 0) >= self.count

    def settle(self, seconds: float) -> float:
        """Wait until every email has its result; return how long it took."""
        began = time.monotonic()
        until(f"{self.count} results ({self.audit()})", self.done, seconds, pause=0.2)
        return time.monotonic() - began

    @property
    def database(self) -> Path:
        """The path of the database file."""
        return Path(self.system.environ["DATA_DIR"]) / "emails.db"

    def box(self) -> "redis.Redis":
        """Connect to the embedded Valkey."""
        return redis.Redis.from_url(f"unix://{self.system.environ['DATA_DIR']}/valkey/valkey.sock")

    def memory(self) -> dict[str, dict[str, int]]:
        """Return role → current and peak RSS in MiB, and open files."""
        found = {}
        for seen in self.system.tree():
            with suppress(OSError):
                status = Path(f"/proc/{seen.pid}/status").read_text()
                sizes = {
                    name: int(value) for name, value in re.findall(r"^(VmHWM|VmRSS):\s+(\d+) kB", status, re.MULTILINE)
                }
                files = len(list(Path(f"/proc/{seen.pid}/fd").iterdir()))
                found[seen.role] = {"rss": sizes["VmRSS"] // 1024, "peak": sizes["VmHWM"] // 1024, "files": files}
        return found

    def greenlets(self) -> dict[str, int]:
        """Return role → number of live greenlets, as each process reports on SIGUSR1."""
        log = self.system.folder / "serve.log"
        found = {}
        for seen in self.system.tree():
            if seen.role in ("front", "worker"):
                begun = log.stat().st_size
                os.kill(seen.pid, signal.SIGUSR1)
                time.sleep(2.0)
                told = re.findall(r"what every greenlet does \((\d+) of them\)", log.read_text()[begun:])
                found[seen.role] = int(told[-1]) if told else -1
        return found

    def end(self) -> None:
        """Stop everything."""
        self.system.kill_all()
        self.stop_mail()


@contextmanager
def mill(within: Path | None = None, **environ: str) -> Iterator[Mill]:
    """Run a mill, and yield it when it is ready."""
    folder = Path(tempfile.mkdtemp(prefix="ep-mill-", dir=within))
    made = Mill(folder, **environ)
    try:
        made.system.start()
        made.system.ready()
        yield made
    finally:
        made.end()
        shutil.rmtree(folder, ignore_errors=True)


def say(step: str, **figures: Any) -> None:
    """Print one line."""
    print(json.dumps({"step": step, **figures}), flush=True)


def flushall(count: int = 20_000) -> None:
    """Measure a run with a FLUSHALL under load, and the same without."""
    with mill() as running:
        running.grow(count)
        say("undisturbed", emails=count, seconds=round(running.settle(600), 1))
        before = running.count
        running.grow(count)
        until("a third of them", lambda: running.audit().get("results", 0) > before + count // 3, 300, pause=0.05)
        began, audit = time.monotonic(), running.audit()
        running.box().flushall()
        running.settle(600)
        say("flushed", open_then=audit["queued"], whole_after_s=round(time.monotonic() - began, 1), **running.audit())


def restored(count: int = 5_000) -> None:
    """Put back an older database, as a plain copy and by `restore`, while Redis keeps its newer state."""
    with mill() as running:
        running.grow(2_000)
        running.settle(120)
        backup = running.system.folder / "before.backup"
        environ = {**clean_environ(), **running.system.environ}
        command = [sys.executable, str(ROOT / "run.py")]
        subprocess.run([*command, "backup", str(backup)], env=environ, check=True, capture_output=True)
        for way in ("copied", "restored"):
            running.grow(count)
            running.settle(240)
            running.system.stop()
            if way == "copied":
                for path in running.database.parent.glob("emails.db*"):
                    path.unlink()
                shutil.copy(backup, running.database)
            else:
                subprocess.run([*command, "restore", str(backup)], env=environ, check=True)
            began = time.monotonic()
            running.system.start()
            running.system.ready()
            ready, audit = time.monotonic() - began, running.audit()
            running.settle(240)
            say(
                way,
                ready_s=round(ready, 1),
                results_then=audit["results"],
                whole_after_s=round(time.monotonic() - began, 1),
                **running.audit(),
            )


def firstsync(count: int = 1_000_000) -> None:
    """List `count` ids in one listing."""
    with mill(POLL_INTERVAL_S="30") as running:
        say("idle", memory=running.memory())
        began = time.monotonic()
        running.grow(count)
        until("the first result", lambda: running.audit().get("results", 0) > 0, 600, pause=0.1)
        say("first", seconds=round(time.monotonic() - began, 1), memory=running.memory())
        until("all listed", lambda: running.audit().get("listed", 0) >= count, 3_600, pause=1.0)
        say("listed", seconds=round(time.monotonic() - began, 1), memory=running.memory(), **running.audit())
        while not running.done():
            time.sleep(30)
            say("at", seconds=round(time.monotonic() - began), memory=running.memory(), **running.audit())
        say("last", seconds=round(time.monotonic() - began, 1), memory=running.memory(), **running.audit())


def soak(few: int = 20_000, many: int = 200_000) -> None:
    """Measure memory and greenlets at rest after few and after many emails."""
    with mill() as running:
        for target in (few, many):
            while running.count < target:
                running.grow(min(5_000, target - running.count))
                running.settle(600)
            time.sleep(REST_S)
            say(
                "rest",
                emails=target,
                memory=running.memory(),
                greenlets=running.greenlets(),
                redis_mb=running.box().info("memory")["used_memory"] >> 20,
            )


def frozen(seconds: float = 60.0) -> None:
    """Freeze FakeMail: it accepts connections and never answers."""
    with mill(LOG_LEVEL="INFO") as running:
        running.grow(3_000)
        running.settle(120)
        say("before", memory=running.memory())
        running.grow(500)
        running.mail.send_signal(signal.SIGSTOP)
        lags, slowest = [0.0], 0.0
        statuses: dict[str, int] = {}
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            began = time.monotonic()
            answer = requests.get(f"{running.system.url}/health", timeout=20)
            status = (
                f"{answer.status_code} {answer.json()['status']} {answer.json()['components']['fakemail']['status']}"
            )
            statuses[status] = statuses.get(status, 0) + 1
            slowest = max(slowest, time.monotonic() - began)
            lags += map(float, LAG.findall(requests.get(f"{running.system.url}/metrics", timeout=20).text))
            time.sleep(0.5)
        say(
            "frozen",
            health=statuses,
            slowest_health_s=round(slowest, 2),
            longest_lag_ms=round(max(lags) * 1000),
            memory=running.memory(),
        )
        running.mail.send_signal(signal.SIGCONT)
        began = time.monotonic()
        running.settle(120)
        took = time.monotonic() - began
        until("health", lambda: (running.system.get("/health") or {}).get("status") == "healthy", 60)
        say(
            "thawed",
            whole_after_s=round(took, 1),
            healthy_after_s=round(time.monotonic() - began, 1),
            **running.audit(),
        )


def away(seconds: int = 600, count: int = 5_000) -> None:
    """Stop FakeMail, and bring it back with mail that it has notified nobody of."""
    with mill(POLL_INTERVAL_S="30") as running:
        running.grow(1_000)
        running.settle(120)
        running.grow(200)  # these are under way when it stops
        running.stop_mail()
        running.count += count
        ends, statuses = time.monotonic() + seconds, set()
        while time.monotonic() < ends:
            statuses.add(_status(running))
            time.sleep(2.0)
        say("away", seconds=seconds, health=sorted(statuses), memory=running.memory(), **running.audit())
        running.mail = running.start_mail()
        until("FakeMail", lambda: running.post(f"{running.url}/watch", {}), 20)
        began = time.monotonic()
        running.settle(240)
        took = time.monotonic() - began
        until("healthy", lambda: _status(running) == "healthy", 60)
        stats = running.system.get("/stats")
        say(
            "back",
            whole_after_s=round(took, 1),
            healthy_after_s=round(time.monotonic() - began, 1),
            retries=stats["retry_count"],
            **running.audit(),
        )


def disk(count: int = 20_000) -> None:
    """Fill a small disk: writes stop in time or, with MIN_FREE_DISK_MB=0, at the last byte; both recover."""
    for minimum, filled in (("20", 30), ("0", 56)):
        with small_disk(80) as folder, mill(folder, MIN_FREE_DISK_MB=minimum) as running:
            ballast = folder / "ballast"
            ballast.write_bytes(bytes(filled << 20))
            running.grow(count)
            until("little room", partial(_less_than, folder, max(1, int(minimum))), 300)
            time.sleep(8)
            health = requests.get(f"{running.system.url}/health", timeout=10).json()
            wrong = {name: each["reason"] for name, each in health["components"].items() if each["status"] != "healthy"}
            free = shutil.disk_usage(folder).free >> 20
            hook = requests.post(f"{running.system.url}/webhook", json={"history_id": 1}, timeout=10).status_code
            say("full", minimum_mb=minimum, status=health["status"], reasons=wrong, free_mb=free, webhook=hook)
            running.count = running.audit().get("listed", 0) or running.count
            ballast.unlink()
            began = time.monotonic()
            subprocess.run(["mount", "-o", "remount,size=400m", str(folder)], check=True)
            until("healthy", lambda: _status(running) == "healthy", 60)
            healthy = time.monotonic() - began
            running.count = count
            running.settle(240)
            say("roomy", minimum_mb=minimum, healthy_after_s=round(healthy, 1), **running.audit())


def _less_than(folder: Path, megabytes: int) -> bool:
    return shutil.disk_usage(folder).free >> 20 < megabytes


def _status(running: Mill) -> str:
    with suppress(requests.RequestException, ValueError):
        return str(requests.get(f"{running.system.url}/health", timeout=10).json()["status"])
    return "silent"


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """Mount a disk of `megabytes`; needs root."""
    folder = Path(tempfile.mkdtemp(prefix="ep-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


PARTS: dict[str, Callable[..., None]] = {
    "away": away,
    "disk": disk,
    "flushall": flushall,
    "restored": restored,
    "firstsync": firstsync,
    "soak": soak,
    "frozen": frozen,
}


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("numbers", nargs="*", type=int, help="how many, if not as usual")
    args = parser.parse_args()
    PARTS[args.part](*args.numbers)


if __name__ == "__main__":
    main()
