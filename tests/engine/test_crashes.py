"""Kills and lost answers between any two lines of the loop, by seed: every message ends and is announced once."""

import random

import gevent
import pytest

import engine.pump
from engine.context import Context
from engine.errors import DependencyTrouble, Permanent
from engine.mailbox import Envelope
from tests.engine.helpers import FAST, Faults, MemoryLedger, Script, buried, done, in_mailbox, raising, told, until
from tests.engine.memory_mailbox import MemoryMailboxes

MESSAGES = 40
LIVES = 12


class Life:
    """One process: some calls to store and ledger fail, before or after they take effect; some kill the process."""

    def __init__(self, bench, rng, *, faults):
        self.rng, self.faults, self.dead = rng, faults, False
        store, ledger = Faults(bench.store, self.plan), Faults(bench.ledger, self.plan, "database")
        context = Context(store, "n/p", ledger, policy=FAST, rng=rng)
        self.refs = [Script.start(context, acts=bench.acts(self), name=f"w{n}", count=7) for n in range(2)]

    def plan(self, name):
        if name == "retry_event":  # builds bytes, calls nobody
            return ""
        if self.dead:
            return "before"
        roll = self.rng.random()
        if roll < self.faults / 4:
            self.dead = True
        return self.rng.choice(("before", "after")) if roll < self.faults else ""

    def end(self):
        self.dead = True
        for ref in self.refs:
            ref.stop(timeout=5)


class Bench:
    """Messages with different outcomes: most are done, some always fail, some can never succeed."""

    def __init__(self, rng):
        self.rng = rng
        self.store, self.ledger = MemoryMailboxes(turn=0.01), MemoryLedger()
        self.fates = {f"k{n}": rng.choice(("done", "done", "done", "fails", "never", "spent")) for n in range(MESSAGES)}
        letters = [
            Envelope("main", key, lane=rng.choice(("high", "normal", "low")), attempts=3 if fate == "spent" else 0)
            for key, fate in self.fates.items()
        ]
        self.store.put("work", letters)

    def acts(self, life):
        def act(outcome, delivery):
            gevent.sleep(0)
            if life.rng.random() < life.faults / MESSAGES:
                raise DependencyTrouble("away", dependency="fakemail")
            kinds[self.fates[delivery.envelope.key]](outcome, delivery)

        kinds = {
            "done": done,
            "fails": raising(ValueError("bad")),
            "spent": raising(ValueError("bad")),
            "never": raising(Permanent("never", reason="invalid_email")),
        }
        return dict.fromkeys(self.fates, act)

    def keys(self, *fates):
        return {key for key, fate in self.fates.items() if fate in fates}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(engine.pump, "backoff", lambda _attempt, **_: 0.0005)
    monkeypatch.setattr(engine.pump, "IDLE_S", 0.0005)


@pytest.mark.parametrize("seed", range(25))
def test_every_message_ends_exactly_once(seed):
    rng = random.Random(seed)
    bench = Bench(rng)
    for _ in range(LIVES):
        life = Life(bench, rng, faults=rng.choice((0.05, 0.3)))
        gevent.sleep(rng.random() * 0.006)
        life.end()
    life = Life(bench, rng, faults=0.0)
    until(lambda: in_mailbox(bench.store) == 0, "an empty mailbox")
    life.end()

    events = told(bench.store)
    assert events == {f"done {key}": 1 for key in bench.keys("done")} | {
        f"retry {key}": 1 for key in bench.keys("fails")
    }
    assert sorted(each.envelope.key for each in buried(bench.store)) == sorted(bench.keys("never", "spent"))
    assert set(bench.ledger.rows) == bench.keys("fails")
