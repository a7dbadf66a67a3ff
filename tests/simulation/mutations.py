"""Guards removed one at a time: `python -m tests.simulation.mutations` prints the first seed to detect each removal.

Each mutation receives pytest's `monkeypatch` and changes one thing in the real code. test_mutations.py looks for a
detecting seed within its budget; what the simulation cannot meet (it replays no dead letter) is covered by the stores'
own tests in tests/storage/test_guards.py.
"""

from gevent import monkey

monkey.patch_all()

import logging
import sys
import time
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import apsw
import peewee
import pytest

import storage.dead_letters
import storage.results
import storage.retries
from actors.classifier import ClassifierActor
from actors.following import Follower
from engine.mailbox import Settlement
from storage.holding import Held, hold
from tests.engine.memory_mailbox import MemoryMailboxes
from tests.simulation.parts import MemoryDatabase
from tests.simulation.run import run_seed
from tests.simulation.world import Imbalance

NOTICED = (Imbalance, peewee.PeeweeException, apsw.Error, KeyError)
"""What a seed raises if it finds something wrong."""

Mutation = Callable[[pytest.MonkeyPatch], None]


def acknowledge_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """A classifier settles its batch before saving it."""
    handle = ClassifierActor.handle

    def hasty(self: Any, batch: Any) -> Any:
        self.context.store.settle([Settlement(delivery) for delivery in batch])
        return handle(self, batch)

    patch.setattr(ClassifierActor, "handle", hasty)


def move_the_cursor_outside_of_the_transaction(patch: pytest.MonkeyPatch) -> None:
    """The cursor is moved in its own transaction, before the emails are entered."""
    listing = Follower._list

    def hasty(self: Any, source: Any, look: Any, *, start: Any, lane: Any) -> Any:
        move = self._move(source, self.client.list_emails(start), None)
        if move is not None:
            self.books.enter(source, [], look, lane=lane, move=move)
        return listing(self, self.source, look, start=start, lane=lane)

    patch.setattr(Follower, "_list", hasty)


def settle_what_is_no_longer_ours(patch: pytest.MonkeyPatch) -> None:
    """Settling forwards and emits events even for a message that somebody else now holds."""
    settle = MemoryMailboxes.settle

    def careless(self: Any, settlements: Any) -> Any:
        ours = settle(self, settlements)
        for settlement, mine in zip(settlements, ours, strict=True):
            if not mine:
                self.tell(settlement.events)
                if settlement.forward:
                    self.put(settlement.forward[0], [settlement.forward[1]])
        return ours

    patch.setattr(MemoryMailboxes, "settle", careless)


def settle_without_telling(patch: pytest.MonkeyPatch) -> None:
    """Events are lost instead of being emitted with the settling."""
    settle = MemoryMailboxes.settle

    def beside(self: Any, settlements: Any) -> Any:
        return settle(self, [Settlement(each.delivery, each.forward) for each in settlements])

    patch.setattr(MemoryMailboxes, "settle", beside)


def settle_without_handing_on(patch: pytest.MonkeyPatch) -> None:
    """What should go on to the next mailbox is lost."""
    settle = MemoryMailboxes.settle

    def beside(self: Any, settlements: Any) -> Any:
        return settle(self, [Settlement(each.delivery, None, each.events) for each in settlements])

    patch.setattr(MemoryMailboxes, "settle", beside)


def release_with_the_old_entry_still_good(patch: pytest.MonkeyPatch) -> None:
    """A late acknowledgement then removes what another consumer is working on."""
    patch.setattr(MemoryMailboxes, "release", _release_in_place)


def _release_in_place(self: Any, mailbox: str, consumer: str, *, crashed: bool) -> int:
    given = 0
    for lane in ("high", "normal", "low", "quarantine"):
        for entry in self._lane(mailbox, lane).values():
            if entry.holder == consumer:
                entry.holder, given = None, given + 1
    return given


def feed_without_its_position(patch: pytest.MonkeyPatch) -> None:
    """A feeder appends whatever the position is."""
    feed = MemoryMailboxes.feed

    def careless(
        self: Any, mailbox: str, envelopes: Any, *, position: str, expected: int, to: int, events: Any = ()
    ) -> bool:
        there = self.positions([position])[position]
        return feed(self, mailbox, envelopes, position=position, expected=there, to=to, events=events)

    patch.setattr(MemoryMailboxes, "feed", careless)


def save_whatever_the_state(patch: pytest.MonkeyPatch) -> None:
    """A result is saved into a row that is not open."""
    without(patch, "AND book.state = 0")


def save_whatever_the_attempts(patch: pytest.MonkeyPatch) -> None:
    """A result of an earlier try closes the row despite the retry."""
    without(patch, "AND book.attempts = batch.attempts")
    patch.setattr(storage.results._Place, "is_of", lambda place, result: result.generation == place.generation)


def save_whatever_the_number(patch: pytest.MonkeyPatch) -> None:
    """Any message of an email may close its row, not only the newest."""
    without(patch, "AND (batch.seq = 0 OR book.feed_seq = batch.seq)")
    patch.setattr(
        storage.results._Place,
        "is_of",
        lambda place, result: (result.generation, result.attempts) == (place.generation, place.attempts),
    )


def without(patch: pytest.MonkeyPatch, guard: str) -> None:
    """Remove this part of the guard of saving."""
    execute = vars(storage.results)["execute_values"]
    patch.setattr(storage.results, "execute_values", lambda sql, *rest: execute(_cut(sql, guard), *rest))


def _cut(sql: str, guard: str) -> str:
    assert guard in sql or not sql.startswith("UPDATE book"), f"{guard} is no longer in {sql}"
    return sql.replace(guard, "")


def postpone_whatever_the_state(patch: pytest.MonkeyPatch) -> None:
    """A failed try is recorded for a row that is closed or already postponed."""
    patch.setattr(storage.retries, "_guard", lambda attempt, held: attempt.ref in held)


def _is_of(patch: pytest.MonkeyPatch, *fields: str) -> None:
    """Let a held row match any message that agrees with it in these fields."""
    wanted = attrgetter(*fields)
    patch.setattr(Held, "is_of", lambda self, message: wanted(self) == wanted(message))


def postpone_whatever_the_number(patch: pytest.MonkeyPatch) -> None:
    """Any message of an email may postpone it, not only the newest."""
    _is_of(patch, "key", "generation")


def move_whatever_the_generation(patch: pytest.MonkeyPatch) -> None:
    """A message of another generation of the email may postpone or bury it."""
    _is_of(patch, "key")


def bury_whatever_the_state(patch: pytest.MonkeyPatch) -> None:
    """A dead letter is written for a row that is closed."""
    patch.setattr(
        storage.dead_letters, "hold", lambda refs: {ref: row._replace(state=0) for ref, row in hold(refs).items()}
    )


def bury_whatever_the_number(patch: pytest.MonkeyPatch) -> None:
    """Any message of an email may bury it, not only the newest."""
    _is_of(patch, "key", "generation")


SEEN: tuple[Mutation, ...] = (
    acknowledge_before_the_commit,
    move_the_cursor_outside_of_the_transaction,
    settle_what_is_no_longer_ours,
    settle_without_telling,
    settle_without_handing_on,
    release_with_the_old_entry_still_good,
    feed_without_its_position,
    save_whatever_the_state,
    postpone_whatever_the_state,
)
"""Mutations that the simulation detects within some hundred seeds."""

RARE: tuple[Mutation, ...] = (
    save_whatever_the_attempts,
    save_whatever_the_number,
    postpone_whatever_the_number,
    bury_whatever_the_state,
    bury_whatever_the_number,
)
"""Mutations that another guard covers, or that matter in few of thousands of seeds; the stores' tests detect them."""


def main(limit: int = 5000) -> int:
    """Print the table; return 1 if no seed detects one of SEEN."""
    logging.disable(logging.CRITICAL)
    database, code = MemoryDatabase(), 0
    for mutation in SEEN + RARE:
        began = time.process_time()
        with pytest.MonkeyPatch.context() as patch:
            mutation(patch)
            found = first_to_notice(database, limit)
        code |= found is None and mutation in SEEN
        seed, text = found or ("none", f"of {limit} seeds")
        sys.stdout.write(f"| {mutation.__name__} | {seed} | {text} | {time.process_time() - began:.1f} s |\n")
        sys.stdout.flush()
    return code


def first_to_notice(database: MemoryDatabase, limit: int) -> tuple[int, str] | None:
    """Return the first seed that finds something wrong, and what it found."""
    for seed in range(limit):
        try:
            run_seed(seed, database)
        except NOTICED as error:
            return seed, f"{type(error).__name__}: {error}"[:140]
    return None


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
