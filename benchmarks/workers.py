"""(j) Two worker processes versus one on the processing stage: one core for each, with shared Valkey and SQLite."""

import json
import subprocess
import sys
import time
from typing import Any

from benchmarks.rig import CORES, Figures, child, end, folder, spawn, valkey

CHILD = "benchmarks.worker_child"


def run(processes: int, count: int) -> Figures:
    """Send `count` emails through `processes` worker processes, each on its own core as far as there are cores."""
    with folder() as path, valkey(path, core=None) as url:
        child(CHILD, path, url, f"filler:{count}")
        workers = [_start(str(path), url, number) for number in range(processes)]
        try:
            for worker in workers:
                _line(worker)
            began = time.perf_counter()
            for worker in workers:
                _go(worker)
            figures = [json.loads(_line(worker)) for worker in workers]
        finally:
            for worker in workers:
                end(worker)
    done, seconds = sum(each["done"] for each in figures), max(each["ended"] for each in figures) - began
    if done != count:
        raise RuntimeError(f"{done} of {count} emails were settled")
    return {"emails": count, "seconds": seconds, "per_s": count / seconds}


def _start(path: str, url: str, number: int) -> "subprocess.Popen[Any]":
    argv = [sys.executable, "-m", CHILD, path, url, f"worker-{number}"]
    core = CORES[number % len(CORES)]
    return spawn(argv, core=core, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _go(worker: "subprocess.Popen[Any]") -> None:
    assert worker.stdin is not None
    worker.stdin.write("go\n")
    worker.stdin.flush()


def _line(worker: "subprocess.Popen[Any]") -> str:
    assert worker.stdout is not None
    line: str = worker.stdout.readline()
    if not line:
        raise RuntimeError("a worker ended early")
    return line
