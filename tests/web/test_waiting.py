"""While stores are unavailable, health answers and webhooks get a Retry-After; then the system goes on by itself."""

import pytest

from tests.web.wsgi_client import WsgiClient
from web.problems import Problem
from web.services import Access
from web.waiting import WaitingRoom


@pytest.fixture
def waits():
    return {}


@pytest.fixture
def room(waits):
    return WaitingRoom(version="1.2.3", node="node", waits=waits, access=Access())


@pytest.mark.parametrize(
    ("away", "code", "status"), [("redis", 503, "unhealthy"), ("database", 200, "degraded"), (None, 200, "degraded")]
)
def test_health_names_what_is_waited_for(room, waits, away, code, status):
    if away:
        waits[away] = "connection refused"
    reply = WsgiClient(room).get("/health")
    assert (reply.status, reply.json["status"]) == (code, status)
    assert set(reply.json["components"]) == {"redis", "database", "fakemail", "actors"}
    if away:
        assert reply.json["components"][away]["reason"] == "connection refused"


def test_strangers_are_not_told_why(room, waits):
    """Reasons contain hosts and file names."""
    waits["redis"] = "connecting to 10.0.0.5:6379"
    for path in ("/health", "/health/ready"):
        reply = WsgiClient(room).get(path, **{"X-Forwarded-For": "8.8.8.8"})
        assert (reply.status, b"10.0.0.5" in reply.body, b"reason" in reply.body) == (503, False, False)


def test_a_webhook_is_told_to_come_again(room, waits):
    waits["redis"] = "connection refused"
    reply = WsgiClient(room).post("/webhook", {"history_id": 1})
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.headers["content-type"] == "application/problem+json"


def test_it_lives_and_is_not_ready(room, waits):
    waits["database"] = "locked"
    client = WsgiClient(room)
    assert client.get("/health/live").json == {"status": "alive"}
    ready = client.get("/health/ready")
    assert (ready.status, ready.json["reason"]) == (503, "waiting for database: locked")
    assert ready.headers["retry-after"] == "1"


def test_nothing_else_is_told_to_anybody(room, waits):
    waits["database"] = "password authentication failed for user x"
    for path in ("/", "/stats", "/results/a", "/actors"):
        reply = WsgiClient(room).get(path)
        assert (reply.status, b"password" in reply.body) == (503, False)
    with pytest.raises(Problem, match=r"^not started yet: database$") as refused:
        room.authorize({})
    assert (refused.value.status, refused.value.headers) == (503, (("Retry-After", "1"),))


def test_the_application_takes_over_when_it_enters(room, system):
    room.application = system.app
    assert WsgiClient(room).get("/stats").status == 200


def test_until_it_enters_no_large_body_is_read(room):
    assert room.body_cap({"PATH_INFO": "/simulator/send_batch", "CONTENT_LENGTH": "70000"}) == 64 * 1024
