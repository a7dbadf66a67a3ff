"""Stand-ins for the engine's tests: a ledger in memory, a store with faults, an actor that follows a script."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import gevent
import pytest
from gevent.event import Event

from engine.context import Context
from engine.errors import DependencyTrouble
from engine.mailbox import DEAD, Delivery, Envelope
from engine.mailbox_actor import MailboxActor, Outcome, RetryPolicy, ScheduledRetry
from tests.engine.memory_mailbox import MemoryMailboxes

DEADLINE = 20.0
FAST = RetryPolicy(max_retries=3, delay=1.0)


def until(ready: Callable[[], Any], what: str = "what was waited for") -> None:
    """Wait until `ready()`, up to a deadline."""
    with gevent.Timeout(DEADLINE, pytest.fail.Exception(f"{what} did not happen within {DEADLINE} s")):
        while not ready():
            gevent.sleep(0.002)


class MemoryLedger:
    """A ledger like that of the books: guarded by the attempts already spent, and aware of its own earlier commit."""

    def __init__(self) -> None:
        self.rows: dict[str, ScheduledRetry] = {}
        self.calls = 0

    def postpone(self, retries: Sequence[ScheduledRetry]) -> list[bool]:
        self.calls += 1
        return [self._enter(each) for each in retries]

    def _enter(self, retry: ScheduledRetry) -> bool:
        key = retry.delivery.envelope.key
        known = self.rows.setdefault(key, retry)
        return known.delivery.envelope.attempts == retry.delivery.envelope.attempts

    def retry_event(self, retry: ScheduledRetry) -> bytes | None:
        return b"retry " + retry.delivery.envelope.key.encode() if retry.spend else None


class Faults:
    """Wraps a store or a ledger: `plan(name)` makes a call work (""), or fail "before" or "after" its effect."""

    def __init__(self, inner: Any, plan: Callable[[str], str], dependency: str = "redis") -> None:
        self.inner, self.plan, self.dependency = inner, plan, dependency

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            fate = self.plan(name)
            if fate == "before":
                raise DependencyTrouble(f"no {name}", dependency=self.dependency)
            answer = method(*args, **kwargs)
            if fate == "after":
                raise DependencyTrouble(f"the answer of {name} was lost", dependency=self.dependency)
            return answer

        return call


class Script(MailboxActor):
    """Handles each message as `acts` says for its key; by default it is done."""

    acts: dict[str, Callable[[Outcome, Delivery], None]]

    def __init__(self, context: Context, *, acts: Any = None, name: str = "worker", **options: Any) -> None:
        super().__init__(context, name=name, mailbox=options.pop("mailbox", "work"), block=0.01, **options)
        self.acts = acts or {}
        self.batches: list[list[str]] = []
        self.seen: Counter[str] = Counter()

    def handle(self, batch: Sequence[Delivery]) -> Outcome:
        keys = [delivery.envelope.key for delivery in batch]
        self.batches.append(keys)
        self.seen.update(keys)
        outcome = Outcome()
        for delivery in batch:
            self.acts.get(delivery.envelope.key, done)(outcome, delivery)
        return outcome


def done(outcome: Outcome, delivery: Delivery) -> None:
    outcome.done(delivery, b"done " + delivery.envelope.key.encode())


def raising(error: BaseException) -> Callable[[Outcome, Delivery], None]:
    def act(_outcome: Outcome, _delivery: Delivery) -> None:
        raise error

    return act


def first_raising(error: BaseException, times: int = 1) -> Callable[[Outcome, Delivery], None]:
    left = [error] * times

    def act(outcome: Outcome, delivery: Delivery) -> None:
        if left:
            raise left.pop()
        done(outcome, delivery)

    return act


def once(go_on: Event) -> Callable[[Outcome, Delivery], None]:
    """Done once the event is set."""

    def act(outcome: Outcome, delivery: Delivery) -> None:
        go_on.wait(DEADLINE)
        done(outcome, delivery)

    return act


def letters(*keys: str, **more: Any) -> list[Envelope]:
    return [Envelope("main", key, ref=number, body=b"body " + key.encode(), **more) for number, key in enumerate(keys)]


def told(store: Any, after: str = "") -> Counter[str]:
    """Return the log's events, counted by text."""
    found: Counter[str] = Counter()
    while entries := (page := store.read_log(after, count=1_000)).entries:
        found.update(entry.data.decode() for entry in entries)
        after = page.last
    return found


def in_mailbox(store: Any, mailbox: str = "work") -> int:
    return sum(depth.messages for depth in store.depths(mailbox).values())


def buried(store: MemoryMailboxes) -> list[Delivery]:
    """Take and return the buried messages that wait."""
    return store.take(DEAD, "test/dead_letter_writer", count=10_000, max_bytes=1 << 40, block=0.0)


def holder(started: Any) -> Any:
    """Return the actor object behind a ref, to inspect what it saw."""
    return started._actor_weakref()
