"""A small simulation of worker processes, for comparison with (j) and for docs/scaling.md.

`python -m benchmarks.capacity`. Each of a process's three actors takes a batch, computes on the process's core (each
process has its own as far as there are cores), holds the database's write lock for the batch, and has the batch
settled by the single Valkey thread. Costs are microseconds of CPU per email, as the stage measures them; what it does
not include (disk, network) is zero.
"""

import argparse
import heapq
import json
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

BATCH, ACTORS = 448, 3
RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Costs:
    """Microseconds of CPU per email: all of the worker's, the part of it under the write lock, and Valkey's."""

    worker: float = 100.0
    lock: float = 18.0
    valkey: float = 15.0


TAKE, COMPUTE, SAVE, SETTLE = range(4)


def simulate(workers: int, cores: int, costs: Costs, *, batches: int = 4_000) -> float:
    """Return emails per second for `workers` processes; Valkey runs on whichever core is free next."""
    seconds = [BATCH * us / 1e6 for us in (costs.valkey / 2, costs.worker - costs.lock, costs.lock, costs.valkey / 2)]
    core_free = [0.0] * cores
    shared_free = {TAKE: 0.0, SAVE: 0.0}  # Valkey, the write lock
    events = [(0.0, actor, TAKE) for actor in range(ACTORS * workers)]
    settled = 0
    while True:
        now, actor, step = heapq.heappop(events)
        own = actor // ACTORS % cores
        core = own if step in (COMPUTE, SAVE) else min(range(cores), key=core_free.__getitem__)
        shared = {TAKE: TAKE, SETTLE: TAKE, SAVE: SAVE}.get(step)
        begin = max(now, core_free[core], shared_free[shared] if shared is not None else 0.0)
        if begin > now:  # retry then: in order of time, so that nobody reserves a time slot that others could use
            heapq.heappush(events, (begin, actor, step))
            continue
        end = core_free[core] = now + seconds[step]
        if shared is not None:
            shared_free[shared] = end
        settled += step == SETTLE
        if settled == batches:
            return batches * BATCH / end
        heapq.heappush(events, (end, actor, (step + 1) % 4))


def held_against(path: Path = RESULTS) -> str:
    """Compare a simulation with the stage's measured costs to what part (j) measured on two cores."""
    results = json.loads(path.read_text())
    stage, measured = results["abcd"]["runs"]["stage"], results["j"]["runs"]
    costs = replace(
        Costs(),
        **{name: median(run[f"{key}_us"] for run in stage) for name, key in (("worker", "cpu"), ("valkey", "valkey"))},
    )
    one, two = (simulate(count, 2, costs) for count in (1, 2))
    slow, fast = (median(run["per_s"] for run in measured[count]) for count in ("1", "2"))
    best, better = (max(run["per_s"] for run in measured[count]) for count in ("1", "2"))
    return (
        f"a worker's {costs.worker:.0f} us and Valkey's {costs.valkey:.0f} us, on 2 cores\n"
        f"simulated  {one:>7,.0f}/s with one process, {two:>7,.0f}/s with two: {two / one:.2f} times\n"
        f"measured   {slow:>7,.0f}/s with one process, {fast:>7,.0f}/s with two: {fast / slow:.2f} times (medians)\n"
        f"           {best:>7,.0f}/s with one process, {better:>7,.0f}/s with two: {better / best:.2f} times (the best of each)"
    )


def main() -> None:
    """Print a table for several numbers of processes and cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measured", action="store_true", help="beside what part (j) of the results measured")
    parser.add_argument("--worker", type=float, default=Costs.worker)
    parser.add_argument("--lock", type=float, default=Costs.lock)
    parser.add_argument("--valkey", type=float, default=Costs.valkey)
    args = parser.parse_args()
    if args.measured:
        print(held_against())
        return
    costs = Costs(args.worker, args.lock, args.valkey)
    one = simulate(1, 2, costs)
    for cores in (2, 4, 8, 16):
        for workers in (1, 2, 4, 8, 16):
            if workers <= cores:
                rate = simulate(workers, cores, costs)
                print(
                    f"{cores:>3} cores  {workers:>3} processes  {rate:>9,.0f} emails a second  {rate / one:5.2f} x one"
                )


if __name__ == "__main__":
    main()
