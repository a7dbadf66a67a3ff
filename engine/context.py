"""What all mailbox actors of one process share, and what a process does about its predecessor before it takes anything.

Built by commands/process.py, handed to every mailbox actor. `Recovery` acts on what the launcher said about the predecessor: only a process
that was seen to die by a living launcher blames the messages that were in its hands.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gevent.lock import BoundedSemaphore

from engine.events import QUARANTINED, Bus
from engine.mailbox import MailboxStore
from engine.names import process_of
from engine.outcome import Ledger, RetryPolicy


class Pauses(Protocol):
    """What a mailbox actor asks of the desired state (engine/control.py)."""

    @property
    def paused(self) -> bool:
        """True: nothing is taken."""


class NeverPaused:
    """The gate that is never shut."""

    paused = False


@dataclass
class Recovery:
    """Gives back, as crashed, what the predecessor of this process held: once a mailbox, before anybody here takes from it."""

    process: str
    crashed: bool
    bus: Bus
    _done: set[str] = field(default_factory=set)
    _lock: BoundedSemaphore = field(default_factory=BoundedSemaphore)

    def before_taking(self, store: MailboxStore, mailbox: str) -> None:
        """Returns when it is done; raises DependencyTrouble when it must be tried again."""
        with self._lock:
            if not self.crashed or mailbox in self._done:
                return
            given = sum(
                store.release(mailbox, consumer, crashed=True)
                for consumer in store.consumers(mailbox)
                if process_of(consumer) == self.process
            )
            self._done.add(mailbox)
        if given:
            self.bus.emit(QUARANTINED, mailbox=mailbox, count=given)


@dataclass
class Context:
    """`process` is `node/process`: consumers are named `process/actor`. `after_crash`: a living launcher saw its predecessor die.

    `thinking` is held by whoever computes: several at once finish no earlier, and the hub waits for a turn of each of them.
    """

    store: MailboxStore
    process: str
    ledger: Ledger
    bus: Bus = field(default_factory=Bus)
    control: Pauses = field(default_factory=NeverPaused)
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    clock: Callable[[], float] = time.time
    rng: random.Random = field(default_factory=random.Random)
    after_crash: bool = False
    living: set[str] = field(default_factory=set)
    thinking: BoundedSemaphore = field(default_factory=BoundedSemaphore)
    recovery: Recovery = field(init=False)

    def __post_init__(self) -> None:
        self.recovery = Recovery(self.process, self.after_crash, self.bus)

    def consumer(self, actor: str) -> str:
        """The consumer name of one of our actors."""
        return f"{self.process}/{actor}"
