"""What an actor shows of itself: plain attributes that others read without asking it, so nobody waits on a busy actor.

The actor (engine/actor.py) and its supervisor write it; supervisors, /actors and the hang check read it. All of them
run on one greenlet hub, so plain attributes are enough.
"""

import time
from dataclasses import dataclass, field

import msgspec


class ActorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A snapshot of an actor. `state`: starting, running, waiting, paused, stopped or failed; `reason` explains it."""

    name: str
    kind: str
    state: str
    reason: str = ""
    parent: str = ""
    mailbox: str = ""
    handled: int = 0
    failures: int = 0
    restarts: int = 0
    last_error: str = ""
    busy_since: float | None = None  # seconds since the epoch


@dataclass(slots=True)
class Card:
    """The live record behind ActorInfo. An actor that is busy for over `deadline` seconds in one go counts as hung."""

    name: str
    kind: str
    deadline: float
    mailbox: str = ""
    parent: str = ""
    essential: bool = True
    started: bool = False
    ended: bool = False
    paused: bool = False
    waits_for: str = ""
    error: str = ""
    failed: bool = False
    blameless: bool = False  # it failed because of a dependency's trouble
    handled: int = 0
    failures: int = 0
    restarts: int = 0
    busy_at: float | None = None  # monotonic
    children: "dict[str, Card]" = field(default_factory=dict)

    def state(self) -> tuple[str, str]:
        """Return the state and its reason; of several states that apply, the gravest."""
        if self.failed:
            return "failed", self.error
        if self.ended:
            return "stopped", ""
        if not self.started:
            return "starting", ""
        if self.waits_for:
            return "waiting", self.waits_for
        return ("paused" if self.paused else "running"), ""

    def ready(self) -> bool:
        """Whether the actor has started and is alive, and so are the essential ones below it."""
        own = self.started and not self.ended and not self.failed
        return own and all(child.ready() for child in self.children.values() if child.essential)

    def busy_for(self) -> float:
        """Return the seconds spent in the current piece of work; 0.0 if there is none."""
        return 0.0 if self.busy_at is None else time.monotonic() - self.busy_at

    def snapshot(self) -> ActorInfo:
        """Return an ActorInfo of this moment."""
        state, reason = self.state()
        return ActorInfo(
            name=self.name,
            kind=self.kind,
            state=state,
            reason=reason,
            parent=self.parent,
            mailbox=self.mailbox,
            handled=self.handled,
            failures=self.failures,
            restarts=self.restarts,
            last_error=self.error,
            busy_since=None if self.busy_at is None else time.time() - self.busy_for(),
        )

    def tree(self) -> list[ActorInfo]:
        """Return snapshots of this actor and all below it, parents first."""
        return [self.snapshot(), *(info for child in list(self.children.values()) for info in child.tree())]
