"""The simulation can see: with one guard taken out, some seed finds the books out of balance."""

import apsw
import peewee
import pytest

import storage.dead_letters
import storage.results
import storage.retries
from actors.classifier import ClassifierActor
from actors.following import Follower
from engine.mailbox import Verdict
from engine.memory_mailbox import MemoryMailboxes
from tests.simulation.run import run_seed
from tests.simulation.world import Imbalance

SEEDS = 150

pytestmark = pytest.mark.chaos


def acknowledge_before_the_commit(monkeypatch):
    handle = ClassifierActor.handle

    def hasty(self, batch):
        self.context.store.settle([Verdict(delivery) for delivery in batch])
        return handle(self, batch)

    monkeypatch.setattr(ClassifierActor, "handle", hasty)


def move_the_cursor_outside_of_the_transaction(monkeypatch):
    listing = Follower._list

    def hasty(self, source, look, *, start, lane):
        move = self._move(source, self.client.list_emails(start), None)
        if move is not None:
            self.books.enter(source, [], look, lane=lane, move=move)
        return listing(self, self.source, look, start=start, lane=lane)

    monkeypatch.setattr(Follower, "_list", hasty)


def settle_without_its_guard(monkeypatch):
    settle = MemoryMailboxes.settle

    def careless(self, verdicts):
        ours = settle(self, verdicts)
        for verdict, mine in zip(verdicts, ours, strict=True):
            if not mine:
                self.tell(verdict.events)
                if verdict.forward:
                    self.put(verdict.forward[0], [verdict.forward[1]])
        return ours

    monkeypatch.setattr(MemoryMailboxes, "settle", careless)


def save_into_rows_that_are_closed(monkeypatch):
    for name in {"execute_many", "execute_values"} & set(vars(storage.results)):
        monkeypatch.setattr(storage.results, name, unguarded(getattr(storage.results, name)))


def unguarded(execute):
    return lambda sql, *rest: execute(sql.replace("AND state = 0", "").replace("AND book.state = 0", ""), *rest)


def postpone_without_its_guard(monkeypatch):
    monkeypatch.setattr(storage.retries, "_guard", lambda attempt, held: attempt.ref in held)


def bury_what_is_closed(monkeypatch):
    hold = storage.dead_letters._hold
    monkeypatch.setattr(
        storage.dead_letters, "_hold", lambda burials: {ref: (0, *rest[1:]) for ref, rest in hold(burials).items()}
    )


def release_with_the_old_entry_still_good(monkeypatch):
    """A late acknowledgement would then take what another works on."""
    monkeypatch.setattr(MemoryMailboxes, "release", _release_in_place)


def _release_in_place(self, mailbox, consumer, *, crashed):
    given = 0
    for lane in ("high", "normal", "low", "quarantine"):
        for entry in self._lane(mailbox, lane).values():
            if entry.holder == consumer:
                entry.holder, given = None, given + 1
    return given


MUTATIONS = (
    acknowledge_before_the_commit,
    move_the_cursor_outside_of_the_transaction,
    settle_without_its_guard,
    save_into_rows_that_are_closed,
    postpone_without_its_guard,
    bury_what_is_closed,
    release_with_the_old_entry_still_good,
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_guard_that_is_taken_out_is_missed(database, monkeypatch, mutation):
    mutation(monkeypatch)
    with pytest.raises((Imbalance, peewee.PeeweeException, apsw.Error, KeyError)):
        run_seeds(database)


def run_seeds(database):
    for seed in range(SEEDS):
        run_seed(seed, database)
