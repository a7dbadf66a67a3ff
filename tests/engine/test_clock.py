"""The time that nodes share: the store's, carried forward by our own monotonic clock."""

import pytest

from engine.clock import SharedClock


class Machine:
    """A machine's wall clock (`wall`), its monotonic one, and the store's (`theirs`; asking takes `takes` seconds)."""

    def __init__(self):
        self.wall = self.theirs = 5000.0
        self.steady, self.takes = 1000.0, 0.0

    def time(self):
        return self.wall

    def clock_gettime(self, _clock):
        return self.steady

    def monotonic(self):
        return self.steady

    def go(self, seconds):
        self.steady, self.wall, self.theirs = self.steady + seconds, self.wall + seconds, self.theirs + seconds

    def ask(self):
        self.go(self.takes / 2)
        said = self.theirs
        self.go(self.takes / 2)
        return said


@pytest.fixture
def machine(monkeypatch):
    found = Machine()
    monkeypatch.setattr("engine.clock.time", found)
    return found


@pytest.fixture
def shared(machine):
    return SharedClock()


def test_until_it_has_asked_it_is_this_machines(machine, shared):
    machine.go(7.0)
    assert shared.now() == machine.wall


@pytest.mark.parametrize("differs", [3600.0, -10.0])
@pytest.mark.parametrize("takes", [0.0, 5.0])
def test_a_clock_that_differs_is_set_right(machine, shared, differs, takes):
    machine.theirs, machine.takes = machine.theirs + differs, takes
    assert shared.compare(machine.ask) == pytest.approx(-differs)
    machine.go(5.0)
    assert shared.now() == pytest.approx(machine.theirs)


@pytest.mark.parametrize(("differs", "takes"), [(0.1, 0.0), (-0.2, 0.0), (0.9, 1.5)])
def test_what_the_way_there_may_hide_is_no_difference(machine, shared, differs, takes):
    machine.theirs, machine.takes = machine.theirs + differs, takes
    assert shared.compare(machine.ask) == 0.0
    assert shared.now() == machine.wall


def test_it_is_equal_again_when_somebody_has_set_it_right(machine, shared):
    machine.theirs += 4000.0
    shared.compare(machine.ask)
    machine.wall = machine.theirs
    assert shared.compare(machine.ask) == 0.0
    assert shared.now() == machine.wall


def test_a_slow_answer_says_nothing_where_a_better_one_is_known(machine, shared):
    machine.theirs -= 2.0
    shared.compare(machine.ask)
    machine.takes = 4.0
    assert shared.compare(machine.ask) == pytest.approx(2.0)
    assert (shared.now(), shared.steady_s()) == (pytest.approx(machine.theirs), 4.0)


def test_who_sets_this_machines_clock_moves_nothing(machine, shared):
    machine.go(100.0)
    machine.wall += 70.0
    assert shared.now() == machine.theirs
    assert shared.compare(machine.ask) == pytest.approx(70.0)
    assert (shared.now(), shared.steady_s()) == (machine.theirs, 100.0)


@pytest.mark.parametrize("step", [70.0, -70.0])
@pytest.mark.parametrize("also_here", [True, False])
def test_a_step_of_the_stores_clock_is_known_to_be_one(machine, shared, step, also_here):
    machine.go(100.0)
    shared.compare(machine.ask)
    assert shared.steady_s() == 100.0
    machine.theirs += step
    machine.wall += step if also_here else 0.0
    shared.compare(machine.ask)
    assert (shared.now(), shared.steady_s()) == (pytest.approx(machine.theirs), 0.0)
    machine.go(30.0)
    shared.compare(machine.ask)
    assert shared.steady_s() == 30.0
