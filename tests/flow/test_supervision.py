"""Supervision of the real table of actors: every actor of one whole process is made to fail in every possible way.

Each fault arises where the real one would: in a tick, in `on_start`, as a BaseException, as work that never ends. The
supervisor must notice, restart the actor, report it in /actors, and leave other actors alone; a failure that a restart
cannot cure ends the process.
"""

import logging
import time
from types import SimpleNamespace

import gevent
import pytest
from gevent.event import Event

from commands import process, serve
from engine import logs
from engine.actor import Tick
from engine.errors import DependencyTrouble
from engine.listening import free_port
from engine.supervision import Budget
from engine.supervisor import Supervisor
from settings import Settings
from tests.actors.conftest import eventually

ACTORS = [
    "heartbeat",
    "disk",
    "gauges",
    "dead_letter_writer",
    "fetcher",
    "feeder",
    "broadcaster",
    "janitor",
    "lister",
    "canary",
    "tasks",
    "subscriber",
    "classifier-1",
]


class Whole:
    """A process of the role `all`, running inside the test."""

    def __init__(self, valkey_url, folder):
        self.port, self.stop, self.crashes = free_port(), Event(), []
        self.environ = {serve.NODE: f"n{self.port}", serve.PROCESS: "all", serve.REDIS: valkey_url}
        self.settings = Settings.from_env({"DATA_DIR": str(folder), "PORT": str(self.port), "POLL_INTERVAL_S": "0.2"})

    def start(self, monkeypatch):
        for name, value in {**self.environ, serve.TOKEN: "token"}.items():
            monkeypatch.setenv(name, value)
        nothing = SimpleNamespace(start=lambda: None, stop=lambda: None)
        monkeypatch.setattr(process, "HubWatch", lambda *_, **__: nothing)
        monkeypatch.setattr(logs, "setup", lambda *_, **__: None)
        monkeypatch.setattr(process, "dump_on_signal", lambda: None)
        monkeypatch.setattr(process, "_stop_signal", lambda **_: self.stop)
        monkeypatch.setattr(logging, "shutdown", lambda: None)
        monkeypatch.setattr(process, "Supervisor", SimpleNamespace(start=self._supervise))
        self.greenlet = gevent.spawn(process.run, process.ALL, self.settings)
        eventually(lambda: hasattr(self, "supervisor") and self.supervisor.ready(), 30)

    def _supervise(self, *, name, specs, escalate, bus):
        self.supervisor = Supervisor.start(name=name, specs=specs, escalate=self.crashes.append, bus=bus, tick=0.02)
        return self.supervisor

    @property
    def children(self):
        actor = self.supervisor._actor_weakref()
        assert actor is not None
        return actor.children

    def ref(self, name):
        return self.children[name].ref

    def info(self, name):
        return next(info for info in self.supervisor.tree() if info.name == name)

    def running(self, name, restarts):
        return self.info(name).state == "running" and self.info(name).restarts >= restarts

    def inject(self, name, work):
        """Run the work in an actor, as a turn of its own ticker would."""
        self.ref(name).tell(Tick(work, Event()))

    def forget(self):
        """Reset the budgets, so that each fault begins with a full one."""
        for child in self.children.values():
            child.failures.clear()
            child.start_at = 0.0


@pytest.fixture(scope="module")
def whole(valkey_url, tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        made = Whole(valkey_url, tmp_path_factory.mktemp("whole"))
        made.start(monkeypatch)
        yield made
        made.stop.set()
        made.greenlet.join(20)


@pytest.fixture(autouse=True)
def each_whole(whole):
    whole.forget()
    whole.crashes.clear()
    yield
    assert whole.greenlet.ready() is False


def raising(error):
    def work():
        raise error

    return work


def seen_and_mended(whole, name, work, told):
    """Inject a fault, and check what became of the actor and of its peers."""
    eventually(lambda: whole.info(name).state in ("running", "waiting"), 10)
    before = {each: whole.children[each].restarts for each in whole.children}
    refs = {each: whole.ref(each) for each in whole.children}
    whole.inject(name, work)
    eventually(lambda: whole.ref(name) not in (None, refs[name]), 10)
    eventually(lambda: whole.running(name, before[name] + 1), 10)
    assert told in whole.info(name).last_error
    assert whole.info(name).failures >= 1
    assert {each: whole.ref(each) for each in refs if each != name} == {
        each: ref for each, ref in refs.items() if each != name
    }
    assert whole.crashes == []


def test_the_table_is_what_is_proven_here(whole):
    assert set(ACTORS) | {"classifier-2", "classifier-3"} == set(whole.children)


@pytest.mark.parametrize("name", ACTORS)
def test_an_exception_is_seen_told_and_mended(whole, name):
    seen_and_mended(whole, name, raising(ValueError("planted")), "ValueError: planted")


@pytest.mark.parametrize("error", [gevent.Timeout(1), gevent.GreenletExit(), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("name", ACTORS)
def test_a_base_exception_stays_with_its_actor(whole, name, error):
    seen_and_mended(whole, name, raising(error), "was interrupted")


@pytest.mark.parametrize("name", ACTORS)
def test_a_start_that_fails_is_tried_again(whole, name, monkeypatch):
    kind = type(whole.ref(name)._actor_weakref())
    left = [ValueError("no start"), KeyboardInterrupt(), DependencyTrouble("away", dependency="redis")]
    real = kind.on_start

    def on_start(self):
        if self.name == name and left:
            raise left.pop()
        real(self)

    monkeypatch.setattr(kind, "on_start", on_start)
    restarts = whole.children[name].restarts
    whole.inject(name, raising(ValueError("planted")))
    eventually(lambda: not left and whole.running(name, restarts + 3), 15)
    assert whole.crashes == []


@pytest.mark.parametrize("name", ACTORS)
def test_work_that_does_not_end_ends_the_process(whole, name, monkeypatch):
    eventually(lambda: whole.info(name).state in ("running", "waiting"), 10)
    card, over = whole.ref(name).card, Event()
    monkeypatch.setattr(card, "deadline", 0.2)
    whole.inject(name, lambda: over.wait(20))
    eventually(lambda: whole.crashes, 10)
    assert f"{name} is hung" in whole.crashes[0]
    over.set()
    card.deadline = 60.0
    whole.children[name].given_up = False


@pytest.mark.parametrize("name", ACTORS)
def test_a_storm_of_failures_escalates_or_slows_down(whole, name):
    child = whole.children[name]
    before = {each: whole.children[each].restarts for each in whole.children if each != name}
    end = time.monotonic() + 20
    while len(child.failures) <= Budget().max and time.monotonic() < end:
        child.start_at = min(child.start_at, time.monotonic())  # without its back-off
        if child.ref is not None and not child.card.ended and child.card.started:
            whole.inject(name, raising(ValueError("planted")))
        gevent.sleep(0.01)
    if child.spec.critical:
        eventually(lambda: whole.crashes, 10)
        assert "failed too often" in whole.crashes[0]
        child.given_up = False
    else:
        assert child.start_at - time.monotonic() > 1.0
        assert whole.crashes == []
        child.start_at = 0.0
    whole.forget()
    eventually(lambda: whole.info(name).state in ("running", "waiting"), 10)
    assert {each: whole.children[each].restarts for each in before} == before


def test_after_all_that_mail_still_goes_through(whole):
    import requests

    base = f"http://127.0.0.1:{whole.port}"
    sent = requests.post(
        f"{base}/simulator/send_email", json={"subject": "Hello", "body": "Shall we meet?"}, timeout=10
    )
    email_id = sent.json()["email_id"]
    answer = requests.get(f"{base}/results/{email_id}", params={"wait": 10}, timeout=20)
    assert answer.status_code == 200
    tree = requests.get(f"{base}/actors", timeout=10).json()["nodes"][0]["processes"][0]["actors"]
    told = {actor["name"]: actor for actor in tree}
    for name in ACTORS:
        assert told[name]["restarts"] > 0
        assert told[name]["last_error"]


def test_a_restarted_broadcaster_misses_no_event(whole):
    from actors.events import encode_event

    store = whole.ref("broadcaster")._actor_weakref().store
    got = []
    real = whole.ref("broadcaster")._actor_weakref().published.__closure__[0].cell_contents.hub
    publish = real.publish

    def keep(entries):
        got.extend(entries)
        publish(entries)

    real.publish = keep
    whole.inject("broadcaster", raising(ValueError("planted")))
    eventually(lambda: whole.running("broadcaster", 1), 10)
    first = encode_event("new", {"count": 0}, 0.0)
    store.tell([first])
    eventually(lambda: any(entry.data == first for entry in got), 10)
    for number in range(1, 50):
        store.tell([encode_event("new", {"count": number}, 0.0)])
        if number == 10:
            whole.inject("broadcaster", raising(ValueError("planted")))
    eventually(lambda: len([entry for entry in got if b'"count":' in entry.data]) >= 50, 15)
    assert [entry.seq for entry in got] == sorted({entry.seq for entry in got})
