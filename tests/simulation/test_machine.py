"""The simulated world, driven by hypothesis, which shrinks a failure to its shortest path."""

import random
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from actors.bodies import CLASSIFY, FETCH
from tests.simulation.parts import Account, MemoryDatabase
from tests.simulation.scheduling import FAILS, GO, LOST, Clock
from tests.simulation.world import World, simulated_time

FATES = st.sampled_from([GO] * 8 + [FAILS, LOST])
NUMBER = st.integers(0, 63)


class Machine(RuleBasedStateMachine):
    """`World.check` is the invariant, run after each commit. `teardown` runs everything out and checks the books."""

    shared: ClassVar[list[MemoryDatabase]] = []

    @initialize(fronts=st.integers(1, 2))
    def begin(self, fronts):
        if not self.shared:
            self.shared.append(MemoryDatabase())
        self.clock = Clock()
        with simulated_time(self.clock):
            self.world = World(self.shared[0], self.clock, random.Random(0), fronts=fronts)

    def pick(self, names, nth):
        return sorted(names)[nth % len(names)]

    @rule(kind=st.sampled_from(Account.KINDS), notified=st.booleans(), late=st.floats(0, 20))
    def receive(self, kind, notified, late):
        self.world.receive(kind, notified=notified, late=late)

    @rule(which=NUMBER, tasks=st.lists(st.tuples(NUMBER, FATES), min_size=1, max_size=30))
    @precondition(lambda self: self.world.runnable)
    def resume(self, which, tasks):
        with simulated_time(self.clock):
            name = self.pick(self.world.runnable, which)
            for nth, fate in tasks:
                if name in self.world.lives:
                    self.world.resume(name, nth, fate)

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 20.0]))
    def pass_time(self, seconds):
        self.world.pass_time(seconds)

    @rule(which=NUMBER, blamed=st.booleans())
    @precondition(lambda self: self.world.lives)
    def crash(self, which, blamed):
        self.world.crash(self.pick(self.world.lives, which), blamed=blamed)

    @rule()
    def crash_everything(self):
        self.world.crash_node()

    @rule(which=NUMBER)
    @precondition(lambda self: self.world.waiting)
    def restart(self, which):
        self.world.restart(self.pick(self.world.waiting, which))

    @rule(which=NUMBER)
    @precondition(lambda self: self.world.lives)
    def freeze_or_thaw(self, which):
        name = self.pick(self.world.lives, which)
        if self.world.lives[name].frozen_since is None:
            self.world.freeze(name)
        else:
            self.world.thaw(name)

    @rule(mailbox=st.sampled_from([FETCH, CLASSIFY]), everything=st.booleans())
    def lose_in_redis(self, mailbox, everything):
        if everything:
            self.world.wipe()
        else:
            self.world.lose_lane(mailbox, "normal")

    def teardown(self):
        if hasattr(self, "world"):
            try:
                with simulated_time(self.clock):
                    self.world.finish()
            finally:
                self.world.end()


Machine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, suppress_health_check=list(HealthCheck), derandomize=True
)


class TestMachine(Machine.TestCase):  # type: ignore[misc,valid-type]  # hypothesis makes the base
    """Run by pytest."""
