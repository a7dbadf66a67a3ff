"""A batch on its way through a mailbox actor's steps, and its results so far.

Made by the pump (engine/pump.py), processed by the actor (engine/mailbox_actor.py). Each step leaves its result here,
so that a step repeated after a dependency's trouble continues where it was and decides nothing twice.
"""

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from engine.canary import passed_on
from engine.decisions import Decision
from engine.mailbox import DEAD, QUARANTINE, Delivery, Settlement
from engine.outcome import Again, Bury, Disposition, Key, Retry, ScheduledRetry, key_of

KINDS = ("done", "forwarded", "retried", "buried", "again")
"""The possible results of a message."""


@dataclass(eq=False)
class Work:
    """A batch. `todo` holds the groups still to be handled; dispositions, decisions and settlements follow in this order.

    `seconds` maps each step to the time spent in it. `canaries` counts the canaries in the batch: they touch no
    dependency, so their progress says nothing about one. `foreign` holds the messages that another owner has settled:
    our results for them do not count.
    """

    deliveries: list[Delivery]
    todo: deque[list[Delivery]] = field(default_factory=deque)
    dispositions: dict[Key, Disposition] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    again: list[Again] = field(default_factory=list)
    settlements: list[Settlement] | None = None
    foreign: frozenset[Key] = frozenset()
    seconds: dict[str, float] = field(default_factory=dict)
    canaries: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Pass canaries on before anything else, and leave the rest to the handler."""
        canaries = [settlement for settlement in map(passed_on, self.deliveries) if settlement is not None]
        self.canaries = len(canaries)
        self.dispositions.update({key_of(settlement.delivery): settlement for settlement in canaries})
        rest = (
            [each for each in self.deliveries if key_of(each) not in self.dispositions] if canaries else self.deliveries
        )
        if rest:
            self.todo.append(rest)

    @property
    def quarantined(self) -> bool:
        """Whether this is a single message that some process held when it died."""
        return self.deliveries[0].lane == QUARANTINE

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the time spent inside to `step`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - began

    def counts(self) -> dict[str, int]:
        """Return the number of messages with each result; each message is counted once."""
        found = Counter(_kind(decision) for _, decision in self._ours())
        return {**{kind: found[kind] for kind in KINDS}, "foreign": len(self.foreign)}

    def reasons(self) -> Counter[tuple[str, str]]:
        """Return the number of failed messages by result (retried, buried) and reason."""
        return Counter(
            (_kind(decision), disposition.reason)
            for disposition, decision in self._ours()
            if isinstance(disposition, Retry | Bury)
        )

    def _ours(self) -> Iterator[tuple[Disposition, Decision]]:
        """Yield each message's disposition and decision, except for messages that another owner settled."""
        for (key, disposition), decision in zip(self.dispositions.items(), self.decisions, strict=True):
            if key not in self.foreign:
                yield disposition, decision


def _kind(decision: Decision) -> str:
    if isinstance(decision, ScheduledRetry):
        return "retried"
    if isinstance(decision, Again):
        return "again"
    if decision.forward is None:
        return "done"
    return "buried" if decision.forward[0] == DEAD else "forwarded"
