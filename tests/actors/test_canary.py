"""The canary proves that messages are consumed: it returns through real actors, unless one of them does not work."""

import time
from typing import ClassVar

import msgspec
import pytest

from actors.bodies import CLASSIFY, FETCH, canary_mailbox
from actors.canary import AWAY_S, Canary
from engine.canary import Pulse, canary, passed_on
from engine.events import DEPENDENCY_BACK, Bus
from engine.mailbox import Delivery, Envelope
from engine.mailbox_actor import MailboxActor, Outcome
from tests.actors.conftest import eventually


class Stage(MailboxActor):
    """Stands in for the fetcher and the classifier: canaries must never reach a handler."""

    seen: ClassVar[list[Delivery]] = []

    def handle(self, batch):
        self.seen.extend(batch)
        outcome = Outcome()
        for delivery in batch:
            outcome.done(delivery)
        return outcome


@pytest.fixture
def stages(started, context):
    Stage.seen = []
    return lambda *mailboxes: [started(Stage, context, name=each, mailbox=each, block=0.05) for each in mailboxes]


@pytest.fixture
def send(started, context):
    pulse = Pulse()
    return lambda: (started(Canary, context, pulse=pulse, name="canary", every=0.05), pulse)[1]


def test_it_comes_home_through_every_mailbox_and_no_handler_sees_it(stages, send, books, mailboxes):
    stages(FETCH, CLASSIFY)
    pulse = send()
    eventually(lambda: pulse.round_trip is not None)
    assert 0 < pulse.round_trip < 2
    assert Stage.seen == []
    assert books.audit().listed == 0
    assert mailboxes.log_bounds()[1] == "" or not mailboxes.read_log("", count=10).entries


def test_a_clock_that_is_set_on_its_way_does_not_count_as_time(send, mailboxes, monkeypatch):
    home, real = canary("key", ()), time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    mailboxes.put(canary_mailbox("node"), [home])
    pulse = send()
    eventually(lambda: pulse.round_trip is not None)
    assert pulse.round_trip < 60


@pytest.mark.parametrize("broken", [FETCH, CLASSIFY])
def test_it_stays_away_when_one_stage_does_not_consume(stages, send, broken):
    stages(*({FETCH, CLASSIFY} - {broken}))
    pulse = send()
    eventually(lambda: pulse.waiting_since is not None)
    now = pulse.waiting_since
    assert pulse.overdue(now + 31) == pytest.approx(31)
    assert pulse.age(now + 31) >= 31


def test_none_is_expected_while_paused(started, context, stages):
    class Resting(Pulse):
        rests = 0

        def idle(self, now):
            super().idle(now)
            self.rests += 1

    context.control = type("Shut", (), {"paused": True})()
    pulse = Resting(waiting_since=1.0)
    started(Canary, context, pulse=pulse, name="canary", every=0.02)
    eventually(lambda: pulse.rests >= 3)
    assert pulse.overdue(1e9) == 0.0
    assert (pulse.age(time.monotonic()) or 0.0) < 20


def test_its_age_grows_when_it_cannot_even_fly_and_when_its_actor_starts_again():
    pulse = Pulse()
    assert pulse.age(5.0) is None
    pulse.begin(10.0)
    assert pulse.age(70.0) == 60.0
    pulse.begin(75.0)
    assert pulse.age(80.0) == 70.0
    pulse.returned(90.0, 0.1)
    assert pulse.age(91.0) == 1.0


def test_the_time_in_which_a_dependency_was_away_is_excused():
    pulse, bus = Pulse(waiting_since=0.0), Bus()
    pulse.listen(bus)
    bus.emit(DEPENDENCY_BACK, dependency="fakemail", actor="fetcher", seconds=600.0)
    assert pulse.overdue(pulse.excused_until + 5) == pytest.approx(5)


def test_a_canary_beside_emails_does_not_change_what_becomes_of_them(stages, send, mailboxes, context):
    pulse = send()
    mailboxes.put(FETCH, [Envelope("main", f"m{number}", ref=number) for number in range(20)])
    eventually(lambda: sum(each.messages for each in mailboxes.depths(FETCH).values()) >= 21)
    stages(FETCH, CLASSIFY)
    eventually(lambda: len(Stage.seen) == 20 and pulse.round_trip is not None)
    assert {each.envelope.key for each in Stage.seen} == {f"m{number}" for number in range(20)}


def test_while_none_comes_home_fewer_are_sung(monkeypatch, started, context, mailboxes):
    pulse, sent = Pulse(), []
    monkeypatch.setattr(mailboxes, "put", lambda *put: sent.append(put))
    started(Canary, context, pulse=pulse, name="canary", every=0.01)
    eventually(lambda: len(sent) > 1)
    pulse.waiting_since = time.monotonic() - AWAY_S - 1
    sent.clear()
    time.sleep(0.1)
    assert not sent


def test_a_node_whose_clock_is_ahead_passes_canaries_on_like_any_other():
    hour_old = msgspec.structs.replace(canary("key", (CLASSIFY, "home")), times={"sent": time.time() - 3600})
    settlement = passed_on(Delivery(FETCH, "high", "1-0", hour_old, 1))
    assert settlement is not None
    assert settlement.forward is not None
