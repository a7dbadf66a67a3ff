"""Shared by every benchmark: a folder in memory, a private Valkey, pinned child processes, interleaved rounds.

Files are on /dev/shm if it exists: the ratios then compare work rather than one machine's disk (whose flush a job queue
would pay for each message, and we for each batch). Children report what they measured as one JSON line on stdout.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storage.embedded import server_command

ROOT = Path(__file__).resolve().parent.parent
SHM = Path("/dev/shm")
CORES = sorted(os.sched_getaffinity(0))
OURS, OTHER = CORES[0], CORES[-1]
"""The core that is measured (our whole system, with Valkey), and the one for FakeMail, clients and load."""

Figures = dict[str, Any]


def machine() -> str:
    """Describe the machine in one line."""
    cpu = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    release = os.uname()
    python = sys.version.split()[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return f"{cpu}, {len(CORES)} cores, {memory} GiB, {release.sysname} {release.release}, Python {python}"


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a temporary folder."""
    path = Path(tempfile.mkdtemp(prefix="bench-", dir=SHM if SHM.is_dir() else None))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def spawn(argv: Sequence[str], *, core: int | None = OURS, **options: Any) -> "subprocess.Popen[Any]":
    """Start a child on one core (None: on any), with the project on its path."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("environ", {})}
    pin = {core} if core is not None else set(CORES)
    return subprocess.Popen(
        argv,
        env=environ,
        cwd=ROOT,
        preexec_fn=lambda: os.sched_setaffinity(0, pin),  # noqa: PLW1509  (no threads here)
        **options,
    )


def child(module: str, *args: object, core: int | None = OURS, seconds: float = 900.0, **options: Any) -> Figures:
    """Run `python -m module args`; return the figures in its last line."""
    argv = [sys.executable, "-m", module, *map(str, args)]
    process = spawn(argv, core=core, stdout=subprocess.PIPE, text=True, **options)
    try:
        out, _ = process.communicate(timeout=seconds)
    finally:
        end(process)
    if process.returncode or not out.strip():
        raise RuntimeError(f"{' '.join(argv[2:])} ended with {process.returncode}")
    figures: Figures = json.loads(out.strip().splitlines()[-1])
    return figures


def end(process: "subprocess.Popen[Any]", seconds: float = 10.0) -> None:
    """Stop a child: terminate it, and kill it if it is still running after `seconds`."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def valkey(path: Path, *, core: int | None = OURS) -> Iterator[str]:
    """Run a Valkey with an append-only file and the allocator that the product gives it; yield its unix:// URL.

    In /dev/shm it does not matter when the file is flushed.
    """
    socket = path / "valkey.sock"
    config = f"--port 0 --unixsocket {socket} --dir {path} --appendonly yes --appendfsync everysec --save".split()
    process = spawn([*server_command(), *config, ""], core=core, stdout=subprocess.DEVNULL)
    try:
        wait_for(socket.exists, "Valkey")
        yield f"unix://{socket}"
    finally:
        end(process)


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60.0) -> Any:
    """Poll until the condition holds; return its value."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: nothing within {seconds:g} s")
        time.sleep(0.01)
    return found


def rounds(contestants: Mapping[str, Callable[[], Figures]], count: int) -> dict[str, list[Figures]]:
    """Run all contestants `count` times in turn, so that noise on the machine affects all of them alike."""
    found: dict[str, list[Figures]] = {name: [] for name in contestants}
    for number in range(count):
        for name, run in contestants.items():
            figures = run()
            found[name].append(figures)
            print(f"  round {number + 1}/{count}  {name:<34} {brief(figures)}", flush=True)
    return found


def brief(figures: Figures) -> str:
    """Format the numbers of a run."""
    return "  ".join(
        f"{name} {value:,.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figures.items()
        if isinstance(value, int | float)
    )


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(runs: Mapping[str, Sequence[Figures]], of: str, figure: str = "per_s") -> dict[str, dict[str, float]]:
    """Return each contestant's figure relative to that of `of` in the same round."""
    return {
        name: spread([each[figure] / base[figure] for each, base in zip(found, runs[of], strict=True)])
        for name, found in runs.items()
    }


def percentiles(values: Sequence[float], *, shares: Sequence[float] = (0.5, 0.99, 0.999)) -> dict[str, float]:
    """Return {"p50": …, "p99": …, "p99.9": …, "max": …} by nearest rank."""
    ordered = sorted(values)
    found = {f"p{share * 100:g}": ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in shares}
    return {**found, "max": ordered[-1]}


def say(figures: Figures) -> None:
    """Print a child's figures, which must be its last line."""
    print(json.dumps(figures), flush=True)


class Meter:
    """Measures wall-clock time, and the CPU time of this process and its Valkey, since its creation."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._began = (time.perf_counter(), time.process_time(), valkey_seconds(self._client))

    def read(self, count: int, *, ended: float | None = None) -> Figures:
        """Return what `count` emails took: seconds, emails per second, and microseconds of CPU per email."""
        began, own, valkey_cpu = self._began
        seconds = (ended or time.perf_counter()) - began
        return {
            "emails": count,
            "seconds": seconds,
            "per_s": count / seconds,
            "cpu_us": (time.process_time() - own) / count * 1e6,
            "valkey_us": (valkey_seconds(self._client) - valkey_cpu) / count * 1e6,
        }


def valkey_seconds(client: Any) -> float:
    """Return the CPU time that a Valkey reports to have used so far."""
    info = client.info("cpu")
    return float(info["used_cpu_sys"]) + float(info["used_cpu_user"])


def memory_kib(pid: int, field: str = "VmHWM") -> int:
    """Return the peak (VmHWM) or current (VmRSS) resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def session_cpu(session: int) -> float:
    """Return the CPU time so far of all processes in a session, including their children that have ended."""
    ticks = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
