"""What the mailbox actors of a process share, and what becomes of its predecessor's messages before it takes any.

Built by commands/process.py, passed to every mailbox actor. `Recovery` acts on what the launcher said about the
predecessor: messages are blamed for a death only if a living launcher saw the process that held them die.
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
    """The part of the desired state (engine/control.py) that mailbox actors use."""

    @property
    def paused(self) -> bool:
        """True while nothing may be taken."""


class NeverPaused:
    """The default: never paused."""

    paused = False


@dataclass
class Recovery:
    """Gives back, as crashed, what this process's predecessor held: once per mailbox, before an actor takes from it."""

    process: str
    crashed: bool
    bus: Bus
    _done: set[str] = field(default_factory=set)
    _lock: BoundedSemaphore = field(default_factory=BoundedSemaphore)

    def before_taking(self, store: MailboxStore, mailbox: str) -> None:
        """Give back what the predecessor held in this mailbox; raises DependencyTrouble if it must be tried again."""
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
    """What a mailbox actor needs from its process.

    `process` is `node/process`, and consumers are named `process/actor`. `after_crash`: a living launcher saw the
    predecessor die. An actor holds `thinking` while it computes: several at once would finish no earlier, and the hub
    would wait for a turn of each.
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
        """Return the consumer name of one of this process's actors."""
        return f"{self.process}/{actor}"
