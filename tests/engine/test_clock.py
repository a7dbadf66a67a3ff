"""The time that nodes share: their own clock, corrected by the store's where they differ."""

import pytest

from engine.clock import SLOWEST_S, SharedClock


class Store:
    """Its clock says `at`; asking it takes `takes` seconds of ours."""

    def __init__(self, at, ours, takes=0.0):
        self.at, self.ours, self.takes = at, ours, takes

    def time(self):
        self.ours[0] += self.takes
        return self.at


@pytest.fixture
def ours(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("engine.clock.time.time", lambda: clock[0])
    return clock


def test_until_it_has_asked_it_is_this_machines(ours):
    assert SharedClock().now() == 1000.0


@pytest.mark.parametrize("theirs", [4600.0, 990.0])
def test_a_clock_that_differs_is_set_right(ours, theirs):
    shared = SharedClock()
    assert shared.compare(Store(theirs, ours)) == 1000.0 - theirs
    ours[0] += 5.0
    assert shared.now() == theirs + 5.0


@pytest.mark.parametrize(("theirs", "takes"), [(1000.1, 0.0), (999.8, 0.0), (1000.9, 1.5)])
def test_what_the_way_there_may_hide_is_no_difference(ours, theirs, takes):
    shared = SharedClock()
    assert shared.compare(Store(theirs, ours, takes)) == 0.0
    assert shared.now() == ours[0]


def test_it_is_equal_again_when_somebody_has_set_it_right(ours):
    shared = SharedClock()
    shared.compare(Store(5000.0, ours))
    assert shared.compare(Store(1000.0, ours)) == 0.0


@pytest.mark.parametrize("takes", [SLOWEST_S + 1, -50.0])
def test_a_slow_answer_and_a_step_meanwhile_say_nothing(ours, takes):
    assert SharedClock().compare(Store(5000.0, ours, takes)) == 0.0
