"""Periodic work goes on whatever it raises: an outage is logged once, an unexpected error each time."""

import logging

import gevent
import pytest
from gevent.event import Event

from engine import loops
from engine.errors import DependencyTrouble
from engine.loops import keep_doing

AWAY = DependencyTrouble("connection refused", dependency="redis")


class Work:
    """Raises the given errors one by one, then succeeds; waits are recorded and take no time."""

    def __init__(self, *fates):
        self.fates, self.calls, self.waits = list(fates), 0, []

    def __call__(self):
        self.calls += 1
        if self.fates and (fate := self.fates.pop(0)) is not None:
            raise fate

    def run(self, times, every=60.0):
        """Run the work `times` times."""
        keep_doing(self, every, "the work", wait=self.waits.append, until=lambda: self.calls == times)
        return self


@pytest.mark.parametrize("error", [AWAY, ValueError("unforeseen"), gevent.Timeout(1)], ids=repr)
def test_no_error_ends_it(error):
    assert Work(error, error, None, error).run(5).calls == 5


def test_between_two_times_is_the_pause_that_was_asked_for():
    assert Work().run(3).waits == [60.0] * 3


def test_after_failures_it_is_tried_again_soon_then_with_growing_pauses_until_it_does_well():
    waits = Work(*[AWAY, ValueError()] * 5, None, AWAY).run(12).waits
    assert all(0.1 <= wait <= loops.FIRST_PAUSE_S for wait in (waits[0], waits[11]))
    assert all(2.5 <= wait <= loops.LONGEST_PAUSE_S for wait in waits[5:10])
    assert waits[10] == 60.0


def test_an_outage_is_told_once_until_it_is_over(caplog):
    caplog.set_level(logging.INFO)
    Work(AWAY, AWAY, AWAY, None, AWAY).run(6)
    assert [record.getMessage() for record in caplog.records] == ["the work: waits for redis: connection refused"] * 2


def test_what_nobody_foresaw_is_told_each_time_with_its_traceback(caplog):
    Work(ValueError("one"), KeyError("two")).run(3)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError, KeyError]


def test_a_wait_that_can_be_ended_early_has_it_done_at_once():
    work, asked = Work(), Event()
    asked.set()
    keep_doing(work, 3600.0, "the work", wait=asked.wait, until=lambda: work.calls == 3)
    assert work.calls == 3


def test_killing_its_greenlet_ends_it():
    greenlet = gevent.spawn(keep_doing, Work(), 0.001, "the work")
    gevent.sleep(0)
    greenlet.kill(timeout=20)
    assert greenlet.ready()
