"""Our actors behave as pykka's users expect, and also where pykka leaves gaps."""

import subprocess
import sys
import time

import gevent
import pykka
import pytest
from gevent.event import Event

import engine.actor
from engine.actor import ChildEnded, InterruptedActor, ServiceActor, adopting
from engine.errors import DependencyTrouble
from engine.events import DEPENDENCY_BACK, DEPENDENCY_LOST, Bus
from tests.engine.helpers import holder, until


class Plain(ServiceActor):
    """Answers "echo" messages, raises exceptions, calls functions."""

    def __init__(self, *, on_start=None, **options):
        super().__init__(**{"name": "plain", **options})
        self.starting = on_start
        self.heard = []
        self.stopped = 0

    def on_start(self):
        if self.starting:
            self.starting(self)

    def on_stop(self):
        self.stopped += 1

    def on_receive(self, message):
        self.heard.append(message)
        if isinstance(message, BaseException):
            raise message
        return message(self) if callable(message) else f"echo {message}"


@pytest.fixture
def start():
    """A function that starts actors, which are stopped after the test."""
    refs = []

    def begin(**options):
        refs.append(Plain.start(**options))
        return refs[-1]

    yield begin
    for ref in refs:
        ref.stop(timeout=20)


def test_an_asked_actor_answers(start):
    assert start().ask("me", timeout=20) == "echo me"


def test_an_actor_can_be_used_through_a_proxy(start):
    assert start().proxy().name.get(timeout=20) == "plain"


def test_an_error_in_an_asked_message_goes_to_the_asker_and_the_actor_lives(start):
    ref = start()
    with pytest.raises(ValueError, match="mine"):
        ref.ask(ValueError("mine"), timeout=20)
    assert ref.ask("still there", timeout=20) == "echo still there"


def test_an_error_in_a_told_message_ends_the_actor_and_is_seen(start):
    ref = start()
    ref.tell(ValueError("mine"))
    until(lambda: ref.card.ended)
    assert not ref.is_alive()
    assert (ref.describe().state, ref.describe().last_error) == ("failed", "ValueError: mine")


def test_the_parent_is_told_of_a_childs_end(start):
    parent = start(name="parent")
    with adopting(parent):
        child = start(name="child")
    child.tell(ValueError("mine"))
    until(lambda: ChildEnded("child") in holder(parent).heard)
    assert child.describe().parent == "parent"


def test_a_failing_on_start_is_told_and_nobody_who_asks_hangs(start):
    parent = start(name="parent")

    def fail(_actor):
        raise OSError("no port")

    with adopting(parent):
        child = start(name="child", on_start=fail)
    asked = child.ask("anybody?", block=False)
    until(lambda: ChildEnded("child") in holder(parent).heard)
    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=20)
    assert child.describe().reason == "OSError: no port"


@pytest.mark.parametrize("error", [gevent.Timeout(1), gevent.GreenletExit(), SystemExit(3)], ids=repr)
def test_a_base_exception_in_a_handler_leaves_the_peers_alive(start, error):
    peers = [start(name=f"peer {number}") for number in range(3)]
    ref = start()
    ref.tell(error)
    until(lambda: ref.card.ended)
    assert [peer.ask("you", timeout=20) for peer in peers] == ["echo you"] * 3


@pytest.mark.parametrize("error", [gevent.Timeout(1), gevent.GreenletExit()], ids=repr)
def test_a_base_exception_in_an_asked_message_is_answered(start, error):
    ref = start()
    with pytest.raises(InterruptedActor):
        ref.ask(error, timeout=20)
    assert ref.is_alive()


@pytest.mark.parametrize("error", [gevent.Timeout(1), KeyError("mine")], ids=repr)
def test_a_base_exception_in_on_start_is_a_failure_too(start, error):
    def fail(_actor):
        raise error

    ref = start(on_start=fail)
    until(lambda: ref.card.ended)
    assert ref.describe().state == "failed"


def test_a_killed_actor_counts_as_dead_and_no_ask_hangs(start):
    ref = start()
    own = ref.ask(lambda _actor: gevent.getcurrent(), timeout=20)
    asked = ref.ask(lambda _actor: gevent.sleep(10), block=False)
    gevent.sleep(0)
    gevent.kill(own)
    with pytest.raises(InterruptedActor):
        asked.get(timeout=20)
    gevent.kill(own)
    until(lambda: ref.card.ended)
    assert not ref.is_alive()
    assert ref not in pykka.ActorRegistry.get_all()


def test_a_message_that_slips_in_after_the_end_is_answered(start):
    ref = start()
    ref.stop(timeout=20)
    until(lambda: ref.card.ended)
    future = Plain._create_future()
    ref.actor_inbox.put(pykka._envelope.Envelope("too late", reply_to=future))
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=20)


def test_stop_handles_what_came_before_it_and_answers_what_came_after(start):
    ref = start()
    actor = holder(ref)
    before = ref.ask(lambda actor: actor.pause(0.01), block=False)
    stopping = ref.stop(block=False)
    after = ref.ask("too late", block=False)
    assert before.get(timeout=20) is True
    assert stopping.get(timeout=20)
    with pytest.raises(pykka.ActorDeadError):
        after.get(timeout=20)
    assert actor.stopped == 1
    assert ref.stop(timeout=20) is False
    assert ref.describe().state == "stopped"


def test_a_busy_actor_learns_of_a_stop_at_once(start):
    ref = start()
    began = time.monotonic()
    cut_short = ref.ask(lambda actor: actor.pause(20), block=False)
    ref.stop(timeout=20)
    assert cut_short.get(timeout=20)
    assert time.monotonic() - began < 10


def test_a_busy_actor_can_be_looked_at_without_waiting(start):
    ref, go_on = start(deadline=30.0), Event()
    before = time.time()
    asked = ref.ask(lambda _actor: go_on.wait(5), block=False)
    until(lambda: ref.describe().busy_since)
    assert before - 0.1 <= ref.describe().busy_since <= time.time()
    go_on.set()
    asked.get(timeout=20)
    assert ref.describe().busy_since is None


def test_an_actor_that_pauses_in_its_work_is_not_busy(start):
    ref, seen = start(), []

    def look():
        seen.append(ref.describe().busy_since)

    def work(actor):
        look()
        gevent.spawn(look)  # its turn comes when the actor yields
        actor.pause(0.01)
        look()

    ref.ask(work, timeout=20)
    before, meanwhile, after = seen
    assert before
    assert meanwhile is None
    assert after


def test_breathing_says_that_the_work_gets_on(start):
    def work(actor):
        actor.card.busy_at -= 100.0
        actor.breathe()
        return actor.card.busy_for()

    assert start().ask(work, timeout=20) < 1.0


def test_ticks_come_again_and_again_in_the_actor_itself(start):
    turns = []
    ref = start(on_start=lambda actor: actor.every(0.01, lambda: turns.append(gevent.getcurrent())))
    until(lambda: len(turns) >= 3)
    assert set(turns) == {ref.ask(lambda _actor: gevent.getcurrent(), timeout=20)}


def test_ticks_neither_overlap_nor_pile_up(start):
    turns = []

    def slow():
        turns.append(time.monotonic())
        gevent.sleep(0.05)

    ref = start(on_start=lambda actor: actor.every(0.01, slow))
    until(lambda: len(turns) >= 3)
    assert ref.actor_inbox.qsize() <= 1
    assert turns[2] - turns[0] >= 0.1


def test_ticks_do_not_drift(start):
    turns = []

    def note():
        turns.append(time.monotonic())
        gevent.sleep(0.015)

    start(on_start=lambda actor: actor.every(0.03, note))
    until(lambda: len(turns) >= 24)
    sevens = [last - first for first, last in zip(turns, turns[7:], strict=False)]
    assert min(sevens) < 7 * 0.03 + 0.04  # drift would make all of them long; a busy machine only some


def test_a_dependencys_trouble_in_a_tick_makes_the_actor_wait_until_a_turn_passes(start):
    told, bus, away = [], Bus(), [True]
    bus.subscribe(lambda name, fields: told.append((name, fields["dependency"])), DEPENDENCY_LOST, DEPENDENCY_BACK)

    def turn():
        if away[0]:
            raise DependencyTrouble("refused", dependency="fakemail")

    ref = start(bus=bus, on_start=lambda actor: actor.every(0.01, turn))
    until(lambda: ref.describe().state == "waiting")
    assert ref.describe().reason == "fakemail: refused"
    away[0] = False
    until(lambda: ref.describe().state == "running")
    assert told == [(DEPENDENCY_LOST, "fakemail"), (DEPENDENCY_BACK, "fakemail")]


def test_a_rare_tick_that_met_trouble_is_repeated_soon_and_does_not_wait_until_it_is_due(start, monkeypatch):
    """Regression: an hourly duty that met a locked database left /health degraded for an hour."""
    monkeypatch.setattr(engine.actor, "AGAIN_S", 0.05)
    left, turns = [DependencyTrouble("locked", dependency="database")], []

    def hourly():
        turns.append(time.monotonic())
        if left:
            raise left.pop()

    def begin(actor):
        actor.every(3600.0, hourly)
        actor.every(0.01, lambda: None)

    ref = start(on_start=begin)
    until(lambda: len(turns) == 2)
    until(lambda: ref.describe().state == "running")
    gevent.sleep(0.2)
    assert len(turns) == 2, "and then hourly again"


def test_another_error_in_a_tick_ends_the_actor(start):
    ref = start(on_start=lambda actor: actor.every(0.01, lambda: 1 / 0))
    until(lambda: ref.card.ended)
    assert "ZeroDivisionError" in ref.describe().last_error


def test_an_owned_greenlet_ends_with_its_actor(start):
    owned = []
    ref = start(on_start=lambda actor: owned.append(actor.spawn(gevent.sleep, 100)))
    until(lambda: owned)
    ref.stop(timeout=20)
    until(lambda: owned[0].dead)


@pytest.mark.parametrize("error", [RuntimeError("mine"), gevent.Timeout(3)], ids=repr)
def test_an_owned_greenlet_that_fails_takes_its_actor_along(start, error):
    def fail():
        raise error

    ref = start(on_start=lambda actor: actor.spawn(fail))
    until(lambda: ref.card.ended)
    assert ref.describe().state == "failed"


def test_without_gevents_patches_the_import_says_what_to_do():
    script = "import pykka\nfrom gevent import monkey\nmonkey.patch_all()\nimport engine.actor"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "monkey.patch_all() before pykka is imported" in run.stderr
