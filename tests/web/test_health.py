"""Health: each component with its latency or reason, within two seconds whatever hangs."""

import time
from datetime import datetime

import gevent
import pytest

from engine.errors import DependencyTrouble
from tests.servers import wait_until
from tests.web.conftest import HEARTBEAT
from tests.web.server_clients import opened
from tests.web.wsgi_client import WsgiClient
from web.app import Application
from web.cached import Probe
from web.health import PATIENCE_S
from web.services import SourceConfig


class Account:
    """A FakeMail that responds."""

    def __init__(self):
        self.told = []

    def watch(self):
        return 1

    def subscribe(self, webhook_url):
        self.told.append(webhook_url)

    def classify(self, subject, body):
        return "unknown", 0.5


class Doing(Account):
    """One that does something else when it is asked for its history id."""

    def __init__(self, watched):
        super().__init__()
        self.watched = watched

    def watch(self):
        return self.watched()


@pytest.fixture
def well(system):
    system.services.sources = {"main": SourceConfig("main", "x", Account())}
    return system


def away(*_args, **_options):
    raise DependencyTrouble("connection refused", dependency="redis")


def hang(*_args, **_options):
    gevent.sleep(60)


def test_all_is_well(well):
    reply = well.client.get("/health")
    assert (reply.status, reply.json["status"], reply.json["version"]) == (200, "healthy", "1.2.3")
    assert set(reply.json["components"]) == {"redis", "database", "fakemail", "actors"}
    assert reply.json["components"]["redis"]["latency_ms"] > 0
    assert reply.json["metrics"]["uptime_seconds"] >= 0


def test_fakemail_away_is_degraded_with_the_reason(system):
    reply = system.client.get("/health")
    assert (reply.status, reply.json["status"]) == (200, "degraded")
    assert "simulator is off" in reply.json["components"]["fakemail"]["reason"]


def test_strangers_are_told_that_something_is_away_and_not_why(system):
    client = system.with_access(api_token="right", api_token_readonly="reads")
    told = {
        token: "reason" in client.get("/health", Authorization=f"Bearer {token}").json["components"]["fakemail"]
        for token in ("right", "reads", "wrong")
    }
    assert told == {"right": True, "reads": True, "wrong": False}
    stranger = client.get("/health")
    assert (stranger.status, stranger.json["components"]["fakemail"]["status"]) == (200, "unhealthy")
    assert b"reason" not in stranger.body


def test_since_when_a_part_is_not_well_is_told_until_it_is_well_again(well, monkeypatch):
    here: list[bool] = []
    monkeypatch.setattr("web.health.KEEP_S", 0)
    monkeypatch.setattr(well.services.database, "ping", lambda: 0.001 if here else away())
    client, before = client_of(well), time.time()

    def database():
        return client.get("/health").json["components"]["database"]

    since = database()["since"]
    assert before - 1 <= datetime.fromisoformat(since).timestamp() <= time.time()
    assert database()["since"] == since
    here.append(True)
    assert "since" not in database()


def test_a_trouble_that_ended_while_nobody_asked_is_not_told_as_the_begin_of_the_next(well, monkeypatch):
    here: list[bool] = []
    monkeypatch.setattr("web.health.KEEP_S", 0)
    monkeypatch.setattr("web.app.HEALTH_EVERY_S", 0.01)
    monkeypatch.setattr(well.services.database, "ping", lambda: 0.001 if here else away())
    app = Application(well.services)
    server = opened(app)
    try:
        first = app.health.components()["database"]["since"]
        here.append(True)
        wait_until(lambda: not app.health.seen_unwell)
        here.clear()
        assert app.health.components()["database"]["since"] > first
    finally:
        server.shutdown(0.5)


def test_the_database_away_is_degraded(well, monkeypatch):
    monkeypatch.setattr(well.services.database, "ping", away)
    reply = client_of(well).get("/health")
    assert (reply.status, reply.json["status"]) == (200, "degraded")
    assert reply.json["components"]["database"]["reason"] == "connection refused"


def test_redis_away_is_unhealthy_and_not_ready(well, monkeypatch):
    monkeypatch.setattr(well.services.mailboxes, "ping", away)
    client = client_of(well)
    reply = client.get("/health")
    assert (reply.status, reply.json["status"]) == (503, "unhealthy")
    assert client.get("/health").headers["retry-after"] == "1"
    assert client.get("/health/ready").status == 503
    assert client.get("/health/live").status == 200


def test_no_process_heard_of_is_unhealthy(well, monkeypatch):
    monkeypatch.setattr(well.services.mailboxes, "alive", dict)
    assert client_of(well).get("/health").json["components"]["actors"]["status"] == "unhealthy"


def test_a_failed_actor_is_degraded_and_named(well):
    failed = {"name": "feeder", "kind": "feeder", "state": "failed"}
    well.services.mailboxes.beat("node/front", {**HEARTBEAT, "actors": [failed]}, ttl=60)
    component = well.client.get("/health").json["components"]["actors"]
    assert (component["status"], component["reason"]) == ("degraded", "failed: feeder")


def test_it_answers_within_two_seconds_whatever_hangs(well, monkeypatch):
    assert PATIENCE_S < 2
    monkeypatch.setattr("web.health.PATIENCE_S", 0.2)
    monkeypatch.setattr(well.services.mailboxes, "ping", hang)
    monkeypatch.setattr(well.services.database, "ping", hang)
    client = client_of(well)
    began = time.monotonic()
    reply = client.get("/health")
    assert reply.json["components"]["redis"]["reason"] == "no answer within 0.2 s"
    assert client.get("/health").status == 503
    assert time.monotonic() - began < 2


def test_a_hanging_check_is_never_started_twice():
    started = []

    def check():
        started.append(1)
        gevent.sleep(60)

    probe = Probe(check, keep=0, patience=0.01)
    for _ in range(5):
        assert isinstance(probe.latest()[1], TimeoutError)
    assert len(started) == 1


def test_ready_says_why_not(system):
    assert system.client.get("/health/ready").json == {"status": "ready"}
    system.services.ready = lambda: "draining"
    reply = system.client.get("/health/ready")
    assert (reply.status, reply.json["reason"], reply.headers["retry-after"]) == (503, "draining", "1")


def test_health_is_for_everybody(well):
    client = well.with_access(api_token="secret")
    assert client.get("/health", Host="mail.example", **{"X-Forwarded-For": "1.2.3.4"}).status == 200


def client_of(system):
    """Return a client of a new application, since the probes bind their checks when it is created."""
    return WsgiClient(Application(system.services))


def test_connected_but_not_consuming_is_unhealthy(system, monkeypatch):
    now = time.monotonic()
    system.services.pulse.waiting_since = now - 100
    monkeypatch.setattr(system.app.health, "well_since", now - 100)
    for name in ("redis", "database", "fakemail:main", "actors"):
        monkeypatch.setattr(system.app.health.probes[name], "latest", lambda: (0.001, None))
    reply = system.client.get("/health")
    assert (reply.status, reply.json["components"]["actors"]["status"]) == (503, "unhealthy")
    assert "not consuming" in reply.json["components"]["actors"]["reason"]
    system.services.pulse.returned(now, 0.01)
    assert system.client.get("/health").json["status"] == "healthy"


def test_a_canary_is_not_missed_while_a_dependency_is_away_or_just_back(system, monkeypatch):
    system.services.pulse.waiting_since = time.monotonic() - 100
    monkeypatch.setattr(system.app.health, "well_since", time.monotonic() - 100)
    assert system.client.get("/health").json["components"]["fakemail"]["status"] == "unhealthy"
    for name in ("redis", "database", "fakemail:main", "actors"):
        monkeypatch.setattr(system.app.health.probes[name], "latest", lambda: (0.001, None))
    assert system.client.get("/health").json["status"] == "healthy"


def test_too_little_free_disk_is_degraded_with_its_reason(system):
    system.services.obstacle = lambda: "10 MB are free"
    database = system.client.get("/health").json["components"]["database"]
    assert (database["status"], database["reason"]) == ("degraded", "10 MB are free")


def test_what_actors_wait_for_is_not_well_although_it_answers(system):
    actors = [{"name": "janitor", "state": "waiting", "reason": "database: database is locked"}]
    system.services.mailboxes.beat("node/front", {**HEARTBEAT, "actors": actors}, ttl=60)
    database = system.client.get("/health").json["components"]["database"]
    assert (database["status"], database["reason"]) == ("degraded", "actors wait: database is locked")


def test_what_actors_wait_for_is_told_also_while_they_are_asked_anew(well, monkeypatch):
    actors = [{"name": "janitor", "state": "waiting", "reason": "database: database is locked"}]
    well.services.mailboxes.beat("node/front", {**HEARTBEAT, "actors": actors}, ttl=60)
    monkeypatch.setattr("web.health.KEEP_S", 0)
    monkeypatch.setattr("web.health.PATIENCE_S", 0.2)
    client = client_of(well)
    client.get("/health")
    monkeypatch.setattr(well.services.mailboxes, "alive", hang)
    components = client.get("/health").json["components"]
    assert components["actors"]["reason"] == "no answer within 0.2 s"
    assert components["database"]["reason"] == "actors wait: database is locked"


def test_what_actors_waited_for_is_forgotten_when_nobody_can_say_any_more(well, monkeypatch):
    actors = [{"name": "janitor", "state": "waiting", "reason": "database: database is locked"}]
    well.services.mailboxes.beat("node/front", {**HEARTBEAT, "actors": actors}, ttl=60)
    monkeypatch.setattr("web.health.KEEP_S", 0)
    client = client_of(well)
    assert client.get("/health").json["components"]["database"]["status"] == "degraded"
    monkeypatch.setattr(well.services.mailboxes, "alive", away)
    assert client.get("/health").json["components"]["database"]["status"] == "healthy"


def test_of_several_accounts_the_one_that_is_away_is_named(system):
    system.services.sources = {name: SourceConfig(name, "x", Account()) for name in ("main", "sales", "support")}
    system.services.sources["sales"] = SourceConfig("sales", "x", Doing(away))
    client = WsgiClient(Application(system.services))
    body = client.get("/health").json
    found = body["components"]["fakemail"]
    assert (body["status"], found["status"]) == ("degraded", "degraded")
    assert found["reason"] == "sales: connection refused"
    assert [name for name, each in found["sources"].items() if "since" in each] == ["sales"]
    assert {name: each["status"] for name, each in found["sources"].items()} == {
        "main": "healthy",
        "sales": "unhealthy",
        "support": "healthy",
    }


def test_an_account_that_hangs_does_not_hide_how_the_others_are(system):
    system.services.sources = {"main": SourceConfig("main", "x", Account()), "b": SourceConfig("b", "x", Doing(hang))}
    client = WsgiClient(Application(system.services))
    began = time.monotonic()
    sources = client.get("/health").json["components"]["fakemail"]["sources"]
    assert time.monotonic() - began < PATIENCE_S + 5
    assert [sources[name]["status"] for name in ("main", "b")] == ["healthy", "unhealthy"]
