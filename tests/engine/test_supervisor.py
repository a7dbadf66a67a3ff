"""The supervisor: failures are restarted or escalated, pools are resized, and everything stops in order."""

import time

import gevent
import pytest
from gevent.event import Event

import engine.supervisor
from engine.actor import Raised, ServiceActor
from engine.errors import DependencyTrouble
from engine.events import ACTOR_FAILED, ACTOR_RESTARTED, ESCALATED, Bus
from engine.supervision import Backoff, Budget, ChildSpec
from engine.supervisor import Resize, Supervisor
from tests.engine.helpers import until

FAST = Backoff(base=0.005, cap=0.02)


class Worker(ServiceActor):
    """Acts as its tree says: fails at start or when told to, and records its starts and stops."""

    def __init__(self, tree, name, **options):
        super().__init__(name=name, **options)
        self.tree = tree

    def on_start(self):
        self.tree.diary.append(f"start {self.name}")
        if self.tree.start_errors:
            raise self.tree.start_errors.pop()

    def on_stop(self):
        self.tree.diary.append(f"stop {self.name}")

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        return message()


class Tree:
    """A supervisor with a table of workers, and everything that it reported."""

    def __init__(self):
        self.diary, self.start_errors, self.escalations = [], [], []
        self.events: list[tuple[str, str | None]] = []
        self.bus = Bus()
        self.bus.subscribe(lambda name, fields: self.events.append((name, fields.get("actor"))))

    def start(self, *specs):
        self.ref = Supervisor.start(name="top", specs=specs, escalate=self.escalations.append, bus=self.bus, tick=0.01)
        return self.ref

    def spec(self, name, **options):
        worker = options.pop("worker", {})
        options = {"restart": Budget(3, 30.0), "backoff": FAST, **options}
        return ChildSpec(name, lambda child: self.keep(Worker.start(self, child, **worker)), **options)

    def keep(self, ref):
        self.refs = {**getattr(self, "refs", {}), ref.card.name: ref}
        return ref

    def state(self, name):
        return next((info for info in self.ref.tree() if info.name == name), None)


@pytest.fixture
def tree():
    tree = Tree()
    yield tree
    tree.ref.stop(timeout=20)


def test_children_start_in_the_tables_order_and_stop_in_reverse(tree):
    tree.start(tree.spec("a"), tree.spec("pool", count=2), tree.spec("z"))
    until(tree.ref.ready)
    tree.ref.stop(timeout=20)
    names = ["a", "pool-1", "pool-2", "z"]
    assert tree.diary == [f"start {name}" for name in names] + [f"stop {name}" for name in reversed(names)]


def test_the_tree_names_everybody_with_kind_and_parent(tree):
    tree.start(tree.spec("a"), tree.spec("pool", count=1))
    assert [(info.name, info.kind, info.parent) for info in tree.ref.tree()] == [
        ("top", "supervisor", ""),
        ("a", "a", "top"),
        ("pool-1", "pool", "top"),
    ]


def test_a_failed_child_is_restarted_and_told_of(tree):
    tree.start(tree.spec("a"), tree.spec("b"))
    until(tree.ref.ready)
    b = tree.refs["b"]
    tree.refs["a"].tell(ValueError("mine"))
    until(lambda: tree.refs["a"].card.restarts == 1 and tree.ref.ready())
    assert tree.events == [(ACTOR_FAILED, "a"), (ACTOR_RESTARTED, "a")]
    assert tree.state("a").last_error == "ValueError: mine"
    assert tree.refs["b"] is b


@pytest.mark.parametrize("error", [OSError("no port"), gevent.Timeout(1)], ids=repr)
def test_a_child_that_fails_in_on_start_is_seen_and_restarted(tree, error):
    tree.start_errors = [error, error]
    tree.start(tree.spec("a"))
    until(tree.ref.ready)
    assert tree.state("a").restarts == 2
    assert tree.state("a").failures == 2


def test_a_child_that_cannot_even_be_made_is_tried_again(tree):
    made = []

    def factory(name):
        made.append(name)
        if len(made) < 3:
            raise OSError("no memory")
        return Worker.start(tree, name)

    tree.start(ChildSpec("a", factory, backoff=FAST))
    until(tree.ref.ready)
    assert tree.state("a").failures == 2


def test_a_child_that_ends_unasked_is_restarted(tree):
    tree.start(tree.spec("a"))
    until(tree.ref.ready)
    tree.refs["a"].stop(timeout=20)
    until(lambda: tree.refs["a"].card.restarts == 1 and tree.ref.ready())


def test_a_restart_storm_escalates_once(tree):
    tree.start_errors = [OSError("no port")] * 99
    tree.start(tree.spec("a"))
    until(lambda: tree.escalations)
    for _ in range(3):
        tree.ref.proxy().reconcile().get(timeout=20)
    assert tree.diary == ["start a"] * 4
    assert tree.escalations == ["a failed too often: 4 failures within 30 s; last: OSError: no port"]
    assert tree.events[-1] == (ESCALATED, "a")
    assert tree.state("a").state == "failed"
    assert not tree.ref.ready()


def test_a_child_that_is_not_critical_is_tried_for_ever_at_the_slowest_pace(tree):
    tree.start_errors = [OSError("no port")] * 8
    tree.start(tree.spec("a", critical=False))
    until(tree.ref.ready)
    assert tree.state("a").restarts == 8
    assert not tree.escalations


def test_an_outage_at_start_uses_up_no_budget(tree):
    tree.start_errors = [DependencyTrouble("refused", dependency="database")] * 8
    tree.start(tree.spec("a"))
    until(tree.ref.ready)
    assert not tree.escalations


def test_a_child_that_is_not_essential_does_not_keep_the_process_from_being_ready(tree):
    tree.start_errors = [OSError("no port")] * 99
    tree.start(tree.spec("a", critical=False, essential=False))
    until(tree.ref.ready)


def test_a_hung_child_escalates_though_nobody_can_ask_it(tree):
    tree.start(tree.spec("a", worker={"deadline": 0.02}))
    until(tree.ref.ready)
    go_on = Event()
    tree.refs["a"].tell(lambda: go_on.wait(20))
    until(lambda: tree.escalations)
    assert tree.escalations[0].startswith("a is hung")
    assert tree.ref.ask(lambda: 1, timeout=20) is None
    go_on.set()


def test_a_pool_grows_at_once(tree):
    tree.start(tree.spec("pool", count=1))
    tree.ref.tell(Resize("pool", 3))
    until(lambda: len(tree.ref.tree()) == 4 and tree.ref.ready())
    assert tree.diary == ["start pool-1", "start pool-2", "start pool-3"]


def test_a_pool_shrinks_by_letting_the_last_ones_finish_what_they_do(tree):
    tree.start(tree.spec("pool", count=3))
    until(tree.ref.ready)
    go_on = Event()
    answer = tree.refs["pool-3"].ask(lambda: go_on.wait(5), block=False)
    tree.ref.tell(Resize("pool", 1))
    until(lambda: tree.state("pool-2") is None)
    assert tree.state("pool-3").state == "running"
    go_on.set()
    assert answer.get(timeout=20)
    until(lambda: tree.state("pool-3") is None)
    assert [info.name for info in tree.ref.tree()] == ["top", "pool-1"]
    assert not tree.escalations
    assert tree.events == []


def test_a_place_that_is_wanted_again_while_its_actor_leaves_is_filled_after_it_has_left(tree):
    tree.start(tree.spec("pool", count=2))
    until(tree.ref.ready)
    go_on = Event()
    tree.refs["pool-2"].tell(lambda: go_on.wait(5))
    tree.ref.tell(Resize("pool", 1))
    tree.ref.tell(Resize("pool", 2))
    until(tree.refs["pool-2"].actor_inbox.stop_asked.is_set)
    assert tree.diary.count("start pool-2") == 1
    go_on.set()
    until(lambda: tree.diary.count("start pool-2") == 2 and tree.ref.ready())


def test_only_a_pool_can_be_resized(tree):
    tree.start(tree.spec("a"))
    with pytest.raises(ValueError, match="a is not a pool"):
        tree.ref.ask(Resize("a", 3), timeout=20)


def test_stopping_waits_for_nobody_longer_than_its_time(tree, monkeypatch):
    monkeypatch.setattr(engine.supervisor, "STOP_S", 0.1)
    tree.start(tree.spec("a"), tree.spec("b"))
    until(tree.ref.ready)
    go_on = Event()
    tree.refs["b"].tell(lambda: go_on.wait(5))
    began = time.monotonic()
    tree.ref.stop(timeout=20)
    assert time.monotonic() - began < 10
    assert "stop a" in tree.diary
    go_on.set()


def test_a_supervisor_that_fails_itself_ends_the_process(tree):
    tree.start(tree.spec("a"))
    tree.ref.tell(Raised(ValueError("mine")))
    until(lambda: tree.escalations)
    assert "supervisor top failed" in tree.escalations[0]
