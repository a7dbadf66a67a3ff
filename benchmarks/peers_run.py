"""(d) The peers on the same work in the same run. A worker is timed from its first rows to its last, after start-up."""

import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from benchmarks.loop import SCHEMA
from benchmarks.rig import OTHER, OURS, ROOT, Figures, end, folder, session_cpu, spawn, valkey, valkey_seconds, wait_for

VENV, VENV_ARQ = ROOT / ".venv-bench", ROOT / ".venv-bench-arq"

WORKERS = {
    "Celery": ("celery_app", ("celery", "-A", "benchmarks.peers.celery_app", "worker", "-c", "1", "-l", "ERROR")),
    "Dramatiq": ("dramatiq_app", ("dramatiq", "benchmarks.peers.dramatiq_app", "-p", "1", "-t", "8", "--skip-logging")),
    "RQ": ("rq_app", ("rq", "worker", "--url", "{redis}", "--quiet", "bench")),
    "Huey": ("huey_app", ("huey_consumer", "benchmarks.peers.huey_app.huey", "-w", "1", "-q")),
    "Taskiq": (
        "taskiq_app",
        (
            *("taskiq", "worker", "benchmarks.peers.taskiq_app:broker", "--workers", "1"),
            *("--ack-type", "when_executed", "--log-level", "ERROR"),
        ),
    ),
    "arq": ("arq_app", ("arq", "benchmarks.peers.arq_app.WorkerSettings")),
}
"""Name → the module that enqueues, and the worker's command."""

EMAILS = {"Celery": 3000, "Dramatiq": 10000, "RQ": 500, "Huey": 8000, "Taskiq": 8000, "arq": 4000}


def installed() -> bool:
    """Return whether `make bench` has created the environments."""
    return (VENV / "bin" / "celery").exists() and (VENV_ARQ / "bin" / "arq").exists()


def run(name: str, *, share: float = 1.0) -> Figures:
    """Enqueue, start the worker, and time its rows."""
    module, command = WORKERS[name]
    count = max(200, int(EMAILS[name] * share))
    programs = (VENV_ARQ if name == "arq" else VENV) / "bin"
    with folder() as path, valkey(path) as url:
        database = path / "peer.db"
        rows = sqlite3.connect(database, isolation_level=None)
        rows.execute("PRAGMA journal_mode=wal")
        rows.execute(SCHEMA)
        environ = {"BENCH_REDIS": url, "BENCH_DATABASE": str(database)}
        enqueue = f"from benchmarks.peers import {module}; {module}.enqueue({count})"
        fill = spawn([str(programs / "python"), "-c", enqueue], core=OTHER, environ=environ)
        if fill.wait(600):
            raise RuntimeError(f"{name}: enqueueing failed")
        argv = [str(programs / command[0]), *(part.format(redis=url) for part in command[1:])]
        with _running(argv, environ, path) as session:
            return _watch(name, rows, count, session, redis.Redis.from_url(url))


@contextmanager
def _running(argv: list[str], environ: dict[str, str], path: Path) -> Iterator[int]:
    log = path / "worker.log"
    with log.open("wb") as out:
        process = spawn(argv, core=OURS, environ=environ, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            yield process.pid
        except TimeoutError:
            print(log.read_text()[-2000:])
            raise
        finally:
            end(process)
            os.system(f"kill -9 -{process.pid} 2>/dev/null")  # whatever is left of its session


def _watch(name: str, rows: sqlite3.Connection, count: int, session: int, client: Any) -> Figures:
    def stored() -> int:
        return int(rows.execute("SELECT coalesce(max(id), 0) FROM result").fetchone()[0])

    warm = count // 20
    wait_for(lambda: stored() >= warm, f"{name}'s first rows", 30)
    began, first = time.perf_counter(), stored()
    own, valkey_cpu = session_cpu(session), valkey_seconds(client)
    last, moved = first, began
    while (now := stored()) < count:
        if now > last:
            last, moved = now, time.perf_counter()
        elif time.perf_counter() - moved > 20:
            raise TimeoutError(f"{name} stands still at {now} of {count}")
        time.sleep(0.005)
    seconds = time.perf_counter() - began
    done = count - first
    return {
        "emails": done,
        "seconds": seconds,
        "per_s": done / seconds,
        "cpu_us": (session_cpu(session) - own) / done * 1e6,
        "valkey_us": (valkey_seconds(client) - valkey_cpu) / done * 1e6,
    }
