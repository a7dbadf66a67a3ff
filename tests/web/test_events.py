"""The event log: read page by page, from any position, with long polling."""

import gevent
import pytest

from actors.events import encode_event
from tests.servers import wait_until
from tests.web.test_results import publish
from web.problems import Problem


def tell(system, *names):
    system.services.mailboxes.tell([encode_event("new", {"email_ids": [name], "count": 1}, 0.0) for name in names])


def ids(page):
    return [item["data"]["email_ids"][0] for item in page["items"]]


def test_the_event_log_is_read_page_by_page(system):
    tell(system, "a", "b", "c")
    first = system.client.get("/events?limit=2").json
    second = system.client.get(f"/events?limit=2&after={first['next_after']}").json
    assert ids(first) + ids(second) == ["a", "b", "c"]
    assert first["items"][0]["type"] == "email_event"
    assert first["items"][0]["seq"] < second["items"][0]["seq"]
    empty = system.client.get(f"/events?after={second['next_after']}").json
    assert (empty["items"], empty["next_after"]) == ([], second["next_after"])


def test_the_events_of_one_source_alone(system):
    for source in ("main", "second", "main"):
        system.services.mailboxes.tell([encode_event("new", {"email_ids": [source], "source": source}, 0.0)])
    page = system.client.get("/events?source=main").json
    assert ids(page) == ["main", "main"]
    assert page["next_after"] == system.client.get("/events").json["next_after"]
    assert system.client.get("/events?source=nobody").status == 404


def test_a_place_that_the_log_does_not_know_is_410(system):
    tell(system, "a")
    reply = system.client.get("/events?after=nonsense")
    assert reply.status == 410
    assert reply.json["newest"] == system.client.get("/events").json["next_after"]


def test_a_log_may_be_read_from_its_beginning_by_name_as_subscriptions_and_resync_do(system):
    tell(system, "a", "b")
    assert ids(system.client.get("/events?after=beginning").json) == ["a", "b"]


@pytest.fixture
def waits(system, monkeypatch):
    """How long readers of the event log wait for news, one entry per wait."""
    monkeypatch.setattr("web.events.LOOK_AGAIN_S", 60.0)
    hub, waits = system.services.hub, []
    wait_for_news = hub.wait_for_news

    def wait(seconds):
        waits.append(seconds)
        wait_for_news(seconds)

    monkeypatch.setattr(hub, "wait_for_news", wait)
    return waits


def test_a_reader_who_waits_is_answered_when_the_server_stops(system, waits):
    tell(system, "a")
    after = system.client.get("/events").json["next_after"]
    waiting = gevent.spawn(system.client.get, f"/events?after={after}&wait=20")
    wait_until(lambda: bool(waits), "a reader who waits")
    system.services.hub.let_go()
    assert waiting.get(timeout=10).json["items"] == []


def test_a_reader_may_wait_for_the_first_event(system, waits):
    tell(system, "a")
    after = system.client.get("/events").json["next_after"]
    waiting = gevent.spawn(system.client.get, f"/events?after={after}&wait=20")
    wait_until(lambda: bool(waits), "a reader who waits")
    tell(system, "b")
    assert not waiting.ready()
    publish(system)
    assert ids(waiting.get(timeout=20).json) == ["b"]


def test_who_would_wait_longer_than_30_seconds_waits_30_as_for_a_result(system, monkeypatch):
    monkeypatch.setattr("web.events.LONGEST_WAIT_S", 0.05)
    tell(system, "a")
    after = system.client.get("/events").json["next_after"]
    for wait in ("31", "86400", "1e300"):
        assert system.client.get(f"/events?after={after}&wait={wait}").json["items"] == []
    for wait in ("-1", "nan", "soon"):
        assert system.client.get(f"/events?after={after}&wait={wait}").status == 400


def test_the_websockets_path_asks_for_an_upgrade(system):
    reply = system.client.get("/ws/emails/me")
    assert (reply.status, reply.headers["upgrade"]) == (426, "websocket")
    system.app.authorize({"RAW_URI": "/ws/emails/me", "PATH_INFO": "/ws/emails/me", "HTTP_HOST": "localhost"})
    for path, host, status in (("/ws/emails/", "localhost", 404), ("/ws/emails/me", "evil.example", 403)):
        with pytest.raises(Problem) as refused:
            system.app.authorize({"RAW_URI": path, "PATH_INFO": path, "HTTP_HOST": host})
        assert refused.value.status == status
