"""One of the candidates for a lease leads; it releases the lease when it stops, and does not lead without the store."""

import time
from types import SimpleNamespace

import gevent
import pytest

from engine.leadership import Leadership
from engine.pump import GIVE_BACK_S
from tests.engine.helpers import Faults, until
from tests.engine.memory_mailbox import MemoryMailboxes


@pytest.fixture
def store():
    return MemoryMailboxes()


def test_one_leads_and_is_told_so_once(store):
    told = []
    first = Leadership(store, "office", "a", taken=lambda: told.append("a"))
    second = Leadership(store, "office", "b", taken=lambda: told.append("b"))
    for each in (first, second, first, second):
        each.renew()
    assert (first.leads, second.leads, told) == (True, False, ["a"])


def test_who_gives_up_is_succeeded_at_once(store):
    first, second = Leadership(store, "office", "a"), Leadership(store, "office", "b")
    first.renew()
    first.give_up()
    second.renew()
    assert (first.leads, second.leads) == (False, True)


def test_who_gave_up_campaigns_no_more_while_its_actor_still_ends(store, monkeypatch):
    monkeypatch.setattr("engine.leadership.TTL_S", 0.05)
    first = Leadership(store, "office", "a")
    campaign = gevent.spawn(first.campaign)
    until(lambda: first.leads)
    first.give_up()
    campaign.join(5.0)
    assert campaign.dead
    assert not first.leads


def test_who_does_not_lead_gives_nothing_up(store):
    first, second = Leadership(store, "office", "a"), Leadership(store, "office", "b")
    first.renew()
    second.give_up()
    second.renew()
    assert not second.leads


def test_while_the_store_is_away_nobody_leads_and_afterwards_it_is_taken_anew(store):
    down: list[bool] = []
    told: list[int] = []
    leadership = Leadership(
        Faults(store, lambda _: "before" if down else ""), "office", "a", taken=lambda: told.append(1)
    )
    leadership.renew()
    down.append(True)
    leadership.renew()
    seen = [leadership.leads]
    down.clear()
    leadership.renew()
    assert [*seen, leadership.leads] == [False, True]
    assert len(told) == 2


@pytest.mark.parametrize("leave", [Leadership.give_up, Leadership.stand_back])
def test_an_answer_that_comes_after_it_was_given_up_gives_it_up_again(leave):
    class Slow(MemoryMailboxes):
        def lease(self, name, token, *, ttl):
            leave(first)
            return super().lease(name, token, ttl=ttl)

    slow = Slow()
    first = Leadership(slow, "office", "a")
    first.leads = True
    first.renew()
    assert not first.leads
    assert MemoryMailboxes.lease(slow, "office", "b", ttl=1.0)


def test_who_stands_back_lets_another_lead(store, monkeypatch):
    monkeypatch.setattr("engine.leadership.STAND_BACK_S", 0.05)
    told = []
    first = Leadership(store, "office", "a", taken=lambda: told.append("a"))
    second = Leadership(store, "office", "b", taken=lambda: told.append("b"))
    first.renew()
    first.stand_back()
    first.renew()
    second.renew()
    assert (first.leads, second.leads) == (False, True)
    until(lambda: time.monotonic() > first._back_at)
    first.renew()
    second.give_up()
    first.renew()
    assert first.leads
    assert told == ["a", "b", "a"]


def test_who_stands_back_and_is_not_succeeded_goes_on_as_if_nothing_had_been(store, monkeypatch):
    monkeypatch.setattr("engine.leadership.STAND_BACK_S", 0.05)
    told = []
    leadership = Leadership(store, "office", "a", taken=lambda: told.append("a"))
    leadership.renew()
    leadership.stand_back()
    seen = [leadership.leads]
    until(lambda: time.monotonic() > leadership._back_at)
    leadership.renew()
    assert [*seen, leadership.leads] == [False, True]
    assert told == ["a"]


def test_who_fails_for_long_stands_back_where_there_are_others(store, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("engine.leadership.time", SimpleNamespace(monotonic=lambda: now[0]))
    leadership = Leadership(store, "office", "a")
    leadership.renew()
    leadership.failed()
    leadership.went_well()
    now[0] += GIVE_BACK_S + 1
    leadership.failed()  # the first failure again
    now[0] += GIVE_BACK_S + 1
    leadership.failed(lambda: False)
    led = [leadership.leads]
    leadership.failed(lambda: True)
    led.append(leadership.leads)
    now[0] += GIVE_BACK_S + 1
    leadership.renew()
    leadership.failed()  # and the first one of this period
    assert [*led, leadership.leads] == [True, False, True]
