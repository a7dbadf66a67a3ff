"""The supervisor: an actor that starts, watches, restarts, resizes and stops a process's actors, as ChildSpecs say.

Each process has one, started by commands/process.py. At every tick, and whenever a child ends, it compares the actors
that should run with those that do. It reads the children's cards and never asks a child, so no busy or hung child can
block it. It escalates what it cannot repair.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pykka

from engine import events
from engine.actor import ChildEnded, ServiceActor, ServiceRef, adopting
from engine.backoff import backoff
from engine.card import Card
from engine.errors import DependencyTrouble
from engine.events import Bus
from engine.supervision import ChildSpec, Escalate, Restart, decide

log = logging.getLogger(__name__)

STOP_S = 4.0
"""How long all children together may take to stop."""


@dataclass(frozen=True, slots=True)
class Resize:
    """A message that tells a supervisor to resize the pool `kind` to `count` actors."""

    kind: str
    count: int


@dataclass(eq=False)
class Child:
    """A place in the tree, filled by one actor after another. `start_at` (monotonic) is when the next one may start."""

    spec: ChildSpec
    name: str
    card: Card
    ref: ServiceRef[Any] | None = None
    start_at: float = 0.0
    failures: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    troubles: int = 0
    restarts: int = -1
    leaving: bool = False
    given_up: bool = False


class Supervisor(ServiceActor):
    """Looks after `specs` every `tick` seconds. `escalate(reason)` must end the process (engine/hub.py: crash)."""

    def __init__(
        self,
        *,
        name: str,
        specs: Sequence[ChildSpec],
        escalate: Callable[[str], None],
        bus: Bus | None = None,
        tick: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name=name, kind="supervisor", bus=bus)
        self.specs = {spec.name: spec for spec in specs}
        self.counts = {spec.name: spec.count for spec in specs}
        self.children: dict[str, Child] = {}
        self.escalate, self.tick, self.clock = escalate, tick, clock

    # -- resizing --------------------------------------------------------------------------------------------------------

    def set_count(self, kind: str, count: int) -> None:
        """Resize a pool: new actors start at once; surplus ones finish what they have in hand, then leave."""
        if self.counts[kind] is None:
            raise ValueError(f"{kind} is not a pool")
        self.counts[kind] = count
        self.reconcile()

    def on_receive(self, message: Any) -> Any:
        """React to the end of a child, or resize a pool."""
        match message:
            case ChildEnded():
                return self.reconcile()
            case Resize(kind, count):
                return self.set_count(kind, count)
            case _:
                return super().on_receive(message)

    # -- desired and running children ------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Start the children, in the table's order, without waiting for any of them."""
        self.reconcile()
        self.every(self.tick, self.reconcile)

    def reconcile(self) -> None:
        """Make the running children match the desired ones. Called often; does nothing when they already do."""
        if self.stop_asked.is_set():
            return
        wanted = {name: spec for spec in self.specs.values() for name in spec.names(self.counts[spec.name])}
        for name, spec in wanted.items():
            if name not in self.children:
                self._add(spec, name)
        for child in list(self.children.values()):
            self._look_after(child, wanted=child.name in wanted)

    def _add(self, spec: ChildSpec, name: str) -> None:
        card = Card(name, spec.name, 0.0, parent=self.name, essential=spec.essential)
        self.children[name] = Child(spec, name, card)
        self.card.children[name] = card

    def _look_after(self, child: Child, *, wanted: bool) -> None:
        if child.ref is not None and child.card.ended:
            self._ended(child)
        if child.ref is None and (child.leaving or not wanted):
            del self.children[child.name], self.card.children[child.name]
        elif child.ref is None:
            if not child.given_up and self.clock() >= child.start_at:
                self._start(child)
        elif not wanted and not child.leaving:
            child.leaving = True
            child.ref.stop(block=False)
        elif child.card.busy_for() > child.card.deadline:
            self._give_up(child, f"{child.name} is hung: busy for {child.card.busy_for():.0f} s")

    def _start(self, child: Child) -> None:
        old = child.card
        try:
            with adopting(self.actor_ref):
                child.ref = child.spec.factory(child.name)
        except Exception as error:
            log.exception("%s cannot be made", child.name)
            old.failed, old.blameless = True, isinstance(error, DependencyTrouble)
            old.failures, old.error = old.failures + 1, f"{type(error).__name__}: {error}"
            return self._failed(child)
        child.restarts += 1
        self._take_over(child, child.ref.card, old)
        if child.restarts:
            self.bus.emit(events.ACTOR_RESTARTED, kind=child.spec.name, actor=child.name, restarts=child.restarts)
        return None

    def _take_over(self, child: Child, card: Card, old: Card) -> None:
        """Continue the counts of the old actor's card in the new one's."""
        card.kind, card.essential, card.restarts = child.spec.name, child.spec.essential, child.restarts
        card.handled, card.failures = card.handled + old.handled, card.failures + old.failures
        card.error = card.error or old.error
        child.card = self.card.children[child.name] = card

    # -- when a child has ended ------------------------------------------------------------------------------------------

    def _ended(self, child: Child) -> None:
        child.ref = None
        if child.leaving:
            return
        if not child.card.failed:
            child.card.error = "it ended unasked"
        self._failed(child)

    def _failed(self, child: Child) -> None:
        log.error("actor %s failed: %s", child.name, child.card.error)
        self.bus.emit(events.ACTOR_FAILED, kind=child.spec.name, actor=child.name, error=child.card.error)
        if child.card.blameless:  # an outage must not use up the budget: that would end process after process
            child.troubles += 1
            child.start_at = self.clock() + backoff(child.troubles, base=0.2, cap=child.spec.backoff.cap)
            return
        child.troubles = 0
        decision = decide(child.failures, self.clock(), child.spec.restart, child.spec.backoff)
        child.failures.append(self.clock())
        self._carry_out(child, decision)

    def _carry_out(self, child: Child, decision: Restart | Escalate) -> None:
        match decision:
            case Restart(delay):
                child.start_at = self.clock() + delay
                if not delay:
                    self._start(child)
            case Escalate(reason) if child.spec.critical:
                self._give_up(child, f"{child.name} failed too often: {reason}; last: {child.card.error}")
            case Escalate():
                child.start_at = self.clock() + child.spec.backoff.cap

    def _give_up(self, child: Child, reason: str) -> None:
        if child.given_up:
            return
        child.given_up = True
        log.critical("%s gives up: %s", self.name, reason)
        self.bus.emit(events.ESCALATED, actor=child.name, reason=reason)
        self.escalate(reason)

    # -- stopping --------------------------------------------------------------------------------------------------------

    def on_stop(self) -> None:
        """Have all children stop taking work at once, then stop each in reverse order, within STOP_S altogether."""
        deadline = self.clock() + STOP_S
        living = list(self._living())
        for child, ref in living:
            child.leaving = True
            ref.drain()
        for child, ref in reversed(living):
            try:
                ref.stop(timeout=max(0.05, deadline - self.clock()))
            except pykka.Timeout:
                log.warning("%s did not stop in time; what it holds stays in its mailbox", child.name)

    def _living(self) -> Iterator[tuple[Child, ServiceRef[Any]]]:
        """Yield the running children in the table's order, whenever they were started."""
        for kind in self.specs:
            for child in self.children.values():
                if child.spec.name == kind and child.ref is not None:
                    yield child, child.ref

    def _handle_failure(self, *exc_info: Any) -> None:
        super()._handle_failure(*exc_info)
        self.escalate(f"supervisor {self.name} failed: {exc_info[1]!r}")
