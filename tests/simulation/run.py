"""Runs seeds one after the other: `python -m tests.simulation.run --seeds 20000`. A seed that fails can be repeated."""

from gevent import monkey

monkey.patch_all()

import argparse
import itertools
import logging
import random
import subprocess
import sys
import time
from dataclasses import dataclass

from actors.bodies import CLASSIFY, FETCH
from tests.simulation.parts import Account, MemoryDatabase
from tests.simulation.scheduling import FAILS, GO, LOST, Clock
from tests.simulation.world import Imbalance, World, simulated_time

STEPS = 500


@dataclass(frozen=True)
class Weather:
    """How bad one seed gets: the chance that a call fails, a process is disturbed at a step, or Redis loses data."""

    trouble: float
    disturbance: float
    loss: float
    kinds: tuple[str, ...]


def run_seed(seed: int, database: MemoryDatabase) -> World:
    """Run one seed from beginning to end; raises Imbalance, or whatever else goes wrong."""
    rng = random.Random(seed)
    clock = Clock()
    weather = Weather(
        rng.choice((0.0, 0.05, 0.2)),
        rng.choice((0.001, 0.005, 0.02)),
        rng.choice((0.0, 0.0, 0.0, 0.004)),
        Account.KINDS[: rng.randint(4, 11)],
    )
    with simulated_time(clock):
        world = World(database, clock, rng, fronts=rng.choice((1, 1, 2)))
        try:
            _live(world, rng, weather)
        finally:
            world.end()
    return world


def _live(world: World, rng: random.Random, weather: Weather) -> None:
    """Receive first emails, take steps, and finish."""
    for _ in range(rng.randint(1, 6)):
        world.receive(rng.choice(weather.kinds), notified=rng.random() < 0.7, late=rng.uniform(0, 20))
    for _ in range(rng.randint(100, STEPS)):
        _step(world, rng, weather)
    world.finish()


def _step(world: World, rng: random.Random, weather: Weather) -> None:
    """Let one thing happen."""
    runnable = world.runnable
    if rng.random() < weather.disturbance:
        _disturb(world, rng, runnable)
    if rng.random() < weather.loss:
        _lose(world, rng)
    roll = rng.random()
    if roll < 0.04:
        world.pass_time(rng.choice((0.1, 1.0, 1.0, 5.0, 35.0)))
    elif roll < 0.08 and world.waiting:
        world.restart(rng.choice(sorted(world.waiting)))
    elif roll < 0.083:
        world.receive(rng.choice(weather.kinds), notified=rng.random() < 0.5, late=rng.uniform(0, 20))
    elif roll < 0.086:
        world.notify(rng.randint(0, world.account.newest))
    elif world.runnable:
        _run_on(world, rng, rng.choice(world.runnable), weather.trouble)


def _lose(world: World, rng: random.Random) -> None:
    if rng.random() < 0.5:
        world.wipe()
    else:
        world.lose_lane(rng.choice((FETCH, CLASSIFY)), rng.choice(("normal", "low", "quarantine")))


def _run_on(world: World, rng: random.Random, name: str, trouble: float) -> None:
    """Let one task run for one or more calls, perhaps to the end of its step."""
    nth = rng.randrange(64)
    for _ in range(rng.choice((1, 2, 4, 12))):
        fate = rng.choice((FAILS, LOST)) if rng.random() < trouble else GO
        if name not in world.lives or world.resume(name, nth, fate):
            return


def _disturb(world: World, rng: random.Random, runnable: list[str]) -> None:
    frozen = sorted(world.lives.keys() - set(runnable))
    what = rng.random()
    if frozen and what < 0.4:
        name = rng.choice(frozen)
        if rng.random() < 0.5:
            world.thaw(name)
        else:
            world.crash(name, blamed=True)  # the launcher has lost patience
    elif runnable and what < 0.6:
        world.freeze(rng.choice(runnable))
    elif runnable and what < 0.9:
        world.crash(rng.choice(runnable), blamed=rng.random() < 0.5)
    elif what >= 0.9:
        world.crash_node()


def main() -> int:
    """Run seeds; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes that share them (default %(default)s)")
    args = parser.parse_args()
    if args.jobs > 1:
        return _share(args.first, args.seeds, args.jobs)
    logging.disable(logging.CRITICAL)
    began, failed = time.monotonic(), []
    database = MemoryDatabase()
    emails = 0
    for seed in range(args.first, args.first + args.seeds):
        try:
            emails += len(run_seed(seed, database).account.kinds)
        except Imbalance as error:
            failed.append(seed)
            sys.stdout.write(f"seed {seed}: {error}\n")
    seconds = time.monotonic() - began
    cpu = time.process_time()
    sys.stdout.write(
        f"{args.seeds} seeds, {emails} emails, {len(failed)} failed, {seconds:.0f} s, {cpu:.0f} s of CPU\n"
    )
    return 1 if failed else 0


def _share(first: int, seeds: int, jobs: int) -> int:
    """Run the seeds in several processes; each prints its own figures."""
    bounds = [first + seeds * nth // jobs for nth in range(jobs + 1)]
    command = [sys.executable, "-m", "tests.simulation.run"]
    parts = [
        subprocess.Popen([*command, "--first", str(low), "--seeds", str(high - low)])
        for low, high in itertools.pairwise(bounds)
    ]
    return max([part.wait() for part in parts])


if __name__ == "__main__":
    sys.exit(main())
