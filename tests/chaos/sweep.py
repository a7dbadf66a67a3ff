"""The sweep: every failpoint, in every process that reaches it, at its first and second hit, with real processes.

`python -m tests.chaos.sweep [--seconds N] [--only TEXT]` prints the table (`make sweep`); test_sweep.py runs what fits
its time budget. In each case SIGKILL ends the armed process at its failpoint while emails come in, one of them poison;
then each email must have ended exactly once.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.failpoints import POINTS, VARIABLE
from tests.chaos.rig import DrillError, Rig, rig, until

BOTH = ("work.", "before.take", "after.take", "before.pending", "after.pending", "before.settle", "after.settle")
WORKER = ("classify.", "results.", "postpone.")
ELSEWHERE = ("refeed.",)
"""Reached only a minute after a loss in Redis; tests/chaos/test_stores.py covers it."""

EMAILS = 20
DEATH_S, END_S = 45.0, 90.0


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    role: str
    name: str
    hit: int

    def __str__(self) -> str:
        return f"{self.role}:{self.name}:{self.hit}"


def cases() -> list[Case]:
    """Return all cases."""
    return [
        Case(role, name, hit)
        for name in POINTS
        if not name.startswith(ELSEWHERE)
        for role in _roles(name)
        for hit in (1, 2)
    ]


def _roles(name: str) -> Sequence[str]:
    if name.startswith(BOTH) or name.endswith(".release"):
        return "front", "worker"
    return ("worker",) if name.startswith(WORKER) else ("front",)


def strike(bench: Rig, case: Case) -> str:
    """Run one case; return what went wrong, or "" if nothing did."""
    bench.set(**{VARIABLE: str(case)})
    marker = bench.data / f"failpoint-{case.role}-{case.name}-{case.hit}"
    bench.system.start()
    try:
        _provoke(bench, case, marker.exists)
    except DrillError:
        return "not reached"
    try:
        bench.settled(END_S)
        bench.balance()
    except (DrillError, AssertionError) as error:
        return str(error)
    return ""


def _provoke(bench: Rig, case: Case, died: Callable[[], bool]) -> None:
    """Send mail until the process dies."""
    if case.name.startswith("subscribe."):
        bench.mail.set_faults(drop_rate=1.0)  # mail without notifications makes the system subscribe again
    end = time.monotonic() + DEATH_S
    while not died():
        if time.monotonic() > end:
            raise DrillError(f"{case} was not reached")
        bench.send(1, poison="raise")
        bench.send(EMAILS)
        if case.name.endswith(".release"):
            until("a ready system", lambda: died() or bench.system.get("/health/ready"), 30)
            bench.system.signal_roles(signal.SIGKILL, case.role)
        time.sleep(1.0)
    bench.mail.set_faults()


def sweep(folder: Path, wanted: Sequence[Case], seconds: float, say: Callable[[str], None]) -> dict[Case, str]:
    """Run cases until the time is up; return case → outcome."""
    outcomes: dict[Case, str] = {}
    end = time.monotonic() + seconds
    with rig(folder) as bench:
        bench.listen()
        for case in wanted:
            if time.monotonic() > end:
                break
            began = time.monotonic()
            outcomes[case] = strike(bench, case)
            say(f"{case!s:<32} {time.monotonic() - began:5.1f} s  {outcomes[case] or 'died; 0 lost, 0 duplicated'}")
            bench.system.kill_all()
    return outcomes


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the sweep from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, help="shuffle the cases")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    args = parser.parse_args()
    wanted = [case for case in cases() if args.only in str(case)]
    if args.seed is not None:
        random.Random(args.seed).shuffle(wanted)
    with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
        outcomes = sweep(Path(folder), wanted, args.seconds, _say)
    failed = [case for case, outcome in outcomes.items() if outcome]
    _say(f"{len(outcomes)} of {len(wanted)} cases struck, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
