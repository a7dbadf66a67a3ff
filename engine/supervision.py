"""Supervision as data: what a child is, when it is restarted, and after how long a wait. Pure; clocks are passed in.

Used by the supervisor actor (engine/supervisor.py); the launcher has simpler rules of its own
(engine/child_process.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.backoff import backoff

EXIT_ESCALATED = 70
"""The exit code of a process that ends itself (engine/hub.py: crash), for example when its supervisor gives up."""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `max` restarts within `within` seconds."""

    max: int = 5
    within: float = 30.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Restart at once after the first failure, after `base` seconds the next time, then doubling up to `cap`."""

    base: float = 0.2
    cap: float = 5.0


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One row of a supervisor's table: a single actor or, with `count`, a pool of `name-1` … `name-count`.

    `factory` is given the child's name, starts the actor and returns its ref. When a `critical` child has used up its
    restart budget, the process ends; any other child is retried at the slowest pace. A process is ready only with all
    its `essential` children.
    """

    name: str
    factory: Callable[[str], Any]
    restart: Budget = field(default_factory=Budget)
    backoff: Backoff = field(default_factory=Backoff)
    critical: bool = True
    essential: bool = True
    count: int | None = None

    def names(self, count: int | None) -> list[str]:
        """Return the names of the children: of the single actor (None), or of a pool of `count`."""
        return [self.name] if count is None else [f"{self.name}-{number}" for number in range(1, count + 1)]


@dataclass(frozen=True, slots=True)
class Restart:
    """The decision to start a child again after `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Escalate:
    """The decision to give up, since the budget is used up; `reason` says so in words."""

    reason: str


def decide(history: Sequence[float], now: float, budget: Budget, pace: Backoff) -> Restart | Escalate:
    """Decide what to do after a failure at `now`; `history` holds the times of the failures before it."""
    recent = [moment for moment in history if now - moment < budget.within]
    if len(recent) >= budget.max:
        return Escalate(f"{len(recent) + 1} failures within {budget.within:g} s")
    if not recent:
        return Restart(0.0)
    return Restart(backoff(len(recent), base=pace.base, cap=pace.cap))
