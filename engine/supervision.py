"""Supervision as data: what a child is, when it is restarted, how long to wait before that. Pure; clocks are passed in.

Read by the supervisor actor (engine/supervisor.py) and by the launcher (engine/launcher.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.backoff import backoff

EXIT_ESCALATED = 70
"""A process whose supervisor gave up (a restart budget was used up), or whose actor hung."""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `max` restarts within `within` seconds."""

    max: int = 5
    within: float = 30.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """The first restart at once, the next after `base` seconds, then doubling up to `cap`."""

    base: float = 0.2
    cap: float = 5.0


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One line of a supervisor's table: a single actor, or with `count` a pool of `name-1` … `name-count`.

    `factory` is given the child's name, starts the actor and returns its ref. `critical`: a used-up budget ends the process;
    otherwise the child is tried again at the slowest pace. `essential`: the process is not ready without it.
    """

    name: str
    factory: Callable[[str], Any]
    restart: Budget = field(default_factory=Budget)
    backoff: Backoff = field(default_factory=Backoff)
    critical: bool = True
    essential: bool = True
    count: int | None = None

    def names(self, count: int | None) -> list[str]:
        """The names of its children."""
        return [self.name] if count is None else [f"{self.name}-{number}" for number in range(1, count + 1)]


@dataclass(frozen=True, slots=True)
class Restart:
    """Start it again after `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Escalate:
    """The budget is used up; `reason` says so in words."""

    reason: str


def decide(history: Sequence[float], now: float, budget: Budget, pace: Backoff) -> Restart | Escalate:
    """What to do after a failure at `now`; `history` holds the moments of the failures before it."""
    recent = [moment for moment in history if now - moment < budget.within]
    if len(recent) >= budget.max:
        return Escalate(f"{len(recent) + 1} failures within {budget.within:g} s")
    if not recent:
        return Restart(0.0)
    return Restart(backoff(len(recent), base=pace.base, cap=pace.cap))
