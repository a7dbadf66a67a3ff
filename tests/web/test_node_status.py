"""What a worker node reports on STATUS_PORT."""

import pytest

from engine.errors import DependencyTrouble
from tests.web.wsgi_client import WsgiClient
from web.node_status import NodeStatus
from web.services import Access
from web.waiting import WaitingRoom


@pytest.fixture
def waits():
    return {}


@pytest.fixture
def status(waits):
    return NodeStatus(WaitingRoom(version="1.2.3", node="node", waits=waits, access=Access(metrics_token="m")))


def enter(status, *, redis=lambda: 0.001, unready=lambda: None):
    checks = {"redis": redis, "database": lambda: 0.002}
    status.enter(checks, unready=unready, metrics=lambda: b"emailproc_up 1\n")
    return WsgiClient(status)


def away():
    raise DependencyTrouble("redis: no answer", dependency="redis")


def test_a_node_that_works_is_ready_and_healthy(status):
    client = enter(status)
    assert client.get("/health/ready").json == {"status": "ready"}
    assert client.get("/health/live").json == {"status": "alive"}
    body = client.get("/health").json
    assert (body["status"], body["version"]) == ("healthy", "1.2.3")
    assert {name: each["status"] for name, each in body["components"].items()} == {
        "redis": "healthy",
        "database": "healthy",
        "actors": "healthy",
    }


def test_before_its_stores_are_there_it_says_what_it_waits_for(status, waits):
    waits["database"] = "locked"
    reply = WsgiClient(status).get("/health/ready")
    assert (reply.status, reply.json["reason"]) == (503, "waiting for database: locked")


def test_without_redis_or_while_it_stops_it_is_not_ready(status):
    for client in (enter(status, redis=away), enter(status, unready=lambda: "it is stopping")):
        for path in ("/health", "/health/ready"):
            reply = client.get(path)
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")


def test_metrics_want_their_token(status):
    client = enter(status)
    assert client.get("/metrics").status == 401
    reply = client.get("/metrics", Authorization="Bearer m")
    assert (reply.status, reply.body) == (200, b"emailproc_up 1\n")


def test_nothing_else_is_there(status):
    client = enter(status)
    assert client.get("/stats").status == 404
    assert client.send("POST", "/health", b"").status == 405


def test_what_nobody_foresaw_is_answered_and_stands_in_the_log(status, caplog):
    status.enter({"redis": lambda: 0.001}, unready=lambda: None, metrics=lambda: 1 // 0)
    reply = WsgiClient(status).get("/metrics", Authorization="Bearer m")
    assert (reply.status, reply.json["title"]) == (500, "Internal Server Error")
    assert caplog.messages == ["Request failed: GET /metrics"]
    assert caplog.records[0].exc_info[0] is ZeroDivisionError
