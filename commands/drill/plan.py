"""The drill's plan: which fault strikes when, drawn from a seed, so that a run can be repeated.

Pure. `--faults` chooses from FAULTS; commands/drill/faults.py carries out each of them under the same name.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from commands.client import UsageError


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    `kill`: it ends processes, or freezes them until others take over. `needs`: the store that it requires.
    """

    weight: int
    help: str
    kill: bool = False
    needs: str = ""
    default: bool = True


FAULTS = {
    "group": Kind(3, "SIGKILL to every process at once, Valkey too; started again at once", kill=True),
    "parent": Kind(3, "SIGKILL to the launcher alone; started again at once", kill=True),
    "front": Kind(5, "SIGKILL to the front", kill=True),
    "worker": Kind(8, "SIGKILL to one worker", kill=True),
    "workers": Kind(2, "SIGKILL to all workers", kill=True),
    "valkey": Kind(5, "SIGKILL to the embedded Valkey", kill=True, needs="embedded"),
    "zombie": Kind(2, "SIGSTOP to a worker until others have what it held, then SIGCONT", kill=True),
    "frozen-front": Kind(1, "the same to the front", kill=True),
    "frozen-valkey": Kind(1, "SIGSTOP to Valkey for 2 to 7 seconds", kill=True, needs="embedded"),
    "restart": Kind(1, "SIGTERM; must end well within 10 seconds; started again"),
    "lock": Kind(1, "another process holds the database's lock for 2 to 8 seconds"),
    "fakemail-errors": Kind(
        2, "FakeMail answers 500, 429 and garbage, loses, doubles, delays notifications for 4 seconds"
    ),
    "fakemail-kill": Kind(1, "SIGKILL to FakeMail; back after up to 3 seconds"),
    "fakemail-freeze": Kind(1, "FakeMail accepts and does not answer for 4 seconds"),
    "cut": Kind(5, "all connections to Redis are reset", needs="url"),
    "lost-replies": Kind(5, "the next replies of Redis are lost, their requests done", needs="url"),
    "held": Kind(1, "connections to Redis carry nothing for 2 to 7 seconds", needs="url"),
    "backends": Kind(3, "the database server ends all our connections", needs="postgresql"),
    "flush": Kind(2, "FLUSHALL; events may then be lost or doubled, mail may not", default=False),
}


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault and when it strikes, in seconds from the start."""

    at: float
    kind: str


def choose(wanted: str, have: Collection[str]) -> list[str]:
    """Return the kinds that `--faults` names and that are possible here. Raises UsageError for an unknown name."""
    if wanted == "default":
        named = [name for name, kind in FAULTS.items() if kind.default]
    elif wanted == "kills":
        named = [name for name, kind in FAULTS.items() if kind.kill]
    else:
        named = [name.strip() for name in wanted.split(",") if name.strip()]
        unknown = [name for name in named if name not in FAULTS]
        if unknown:
            raise UsageError(f"--faults: unknown: {', '.join(unknown)}; the known ones are {', '.join(FAULTS)}")
    return [name for name in named if not FAULTS[name].needs or FAULTS[name].needs in have]


def draw(kinds: Sequence[str], seconds: float, pace: float, rng: random.Random) -> list[Planned]:
    """Draw faults over `seconds`, on average `pace` seconds apart; some follow each other closely."""
    planned: list[Planned] = []
    weights = [FAULTS[name].weight for name in kinds]
    at = 1.0
    while kinds and at < seconds:
        planned.append(Planned(at, rng.choices(kinds, weights)[0]))
        at += 0.2 + rng.expovariate(1 / max(pace - 0.2, 0.1))
    return planned
