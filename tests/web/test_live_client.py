"""WebSockets end to end: a real server and the real event log, read by a broadcaster."""

import json
import time

import gevent
import pytest

from actors.events import encode_event
from engine.mailbox import LogEntry
from tests.servers import wait_until
from tests.web.server_clients import RawClient, SocketClient, frame, handshake, opened
from web.app import Application


class Events(SocketClient):
    """A client that speaks JSON."""

    def command(self, **command):
        self.send(frame(1, json.dumps(command).encode()))
        return self

    def next(self, wanted=lambda message: True):
        """Return the next message that is wanted."""
        while not wanted(message := json.loads(self.text())):
            pass
        return message


def numbered(message):
    return "seq" in message


@pytest.fixture
def served(system, monkeypatch):
    """A system on a port, with a broadcaster."""
    monkeypatch.setattr("web.app.PUSH_EVERY_S", 0.05)
    services = system.services
    services.access = type(services.access)(allowed_hosts=("x",))
    app = Application(services)
    server = opened(app)
    last = services.mailboxes.log_bounds()[1]

    def broadcast():
        nonlocal last
        while True:
            page = services.mailboxes.read_log(last, count=100, block=0.2)
            if page.entries:
                services.hub.publish(page.entries)
            last = page.last

    broadcaster = gevent.spawn(broadcast)
    yield server
    broadcaster.kill()
    server.shutdown(0.5)


def tell(system, *names):
    system.services.mailboxes.tell(
        [encode_event("new", {"count": 1, "email_ids": [name]}, time.time()) for name in names]
    )


def test_events_reach_every_client_also_two_of_one_name(system, served):
    with Events(served, "/ws/emails/me") as one, Events(served, "/ws/emails/me") as two:
        wait_until(lambda: len(system.services.hub.clients) == 2)
        tell(system, "a")
        for client in (one, two):
            message = client.next(numbered)
            assert (message["type"], message["event"], message["data"]["email_ids"]) == ("email_event", "new", ["a"])
    wait_until(lambda: not system.services.hub.clients)


def test_a_client_resumes_from_its_cursor_without_gap_or_repetition(system, served):
    with Events(served, "/ws/emails/me") as client:
        tell(system, "a")
        seq = client.next(numbered)["seq"]
    tell(system, "b", "c")
    with Events(served, "/ws/emails/me") as client:
        client.command(command="subscribe", topic="email:all", since=seq)
        got = []

        def answered(message):
            if numbered(message):
                got.append(message["data"]["email_ids"][0])
            return message["type"] == "subscription"

        client.next(answered)
        tell(system, "d")  # earlier it would have come live, ahead of the replay
        while len(got) < 3:
            got.append(client.next(numbered)["data"]["email_ids"][0])
        assert got == ["b", "c", "d"]


def test_a_cursor_of_another_log_says_gap(system, served):
    with Events(served, "/ws/emails/me") as client:
        client.command(command="subscribe", topic="email:all", since="00000000-0000000000000-000000-001")
        gap = client.next(lambda message: message["type"] == "gap")
        assert gap["reason"] == "another log"


def test_stats_come_when_asked_for_and_when_they_change(system, served):
    with Events(served, "/ws/emails/me") as client:
        client.command(command="fetch_stats")
        first = client.next(lambda message: message.get("event") == "stats")
        assert first["data"]["total_emails_processed"] == 0
        assert "seq" not in first
        system.process("a")
        changed = client.next(
            lambda message: message.get("event") == "stats" and message["data"]["total_emails_processed"]
        )
        assert changed["data"]["total_emails_processed"] == 1


def test_queue_messages_are_their_own_topic(system, served):
    with Events(served, "/ws/emails/me") as client:
        client.command(command="unsubscribe", topic="email:all").command(command="subscribe", topic="queue")
        assert client.next()["status"] == client.next()["status"] == "success"
        system.enter("a")
        queue = client.next(lambda message: message.get("event") == "queue" and message["data"]["queue_depth"])
        assert queue["data"]["queue_depth"] == 1


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        (b"nonsense", "send"),
        (b'{"command": "dance"}', "dance"),
        (b'{"command": "ping", "x": "' + b"x" * 60_000 + b'"}', "at most 4096 characters"),
    ],
    ids=["no JSON", "no command", "60 KB"],
)
def test_nonsense_is_an_error_and_the_connection_stays(served, sent, named):
    with Events(served, "/ws/emails/me") as client:
        client.send(frame(1, sent))
        assert named in client.next(lambda message: message["type"] == "error")["message"]
        assert client.command(command="ping").next(lambda message: message["type"] == "pong")["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/ws/emails/me", {}, 101),
        ("/ws/emails/a%2Fb", {}, 101),
        ("/ws/emails/me", {"Origin": "http://x"}, 101),
        ("/ws/emails/me", {"Origin": "http://evil.example"}, 403),
        ("/ws/emails/me", {"Sec_Fetch_Site": "cross-site"}, 403),
        ("/ws/emails/me", {"Host": "evil.example"}, 403),
        ("/ws/emails/me", {"X_Forwarded_For": "1.2.3.4"}, 403),
        ("/ws/emails/", {}, 404),
        ("/ws/other", {}, 404),
    ],
)
def test_who_may_open_one(served, path, headers, expected):
    with RawClient(served) as client:
        assert client.send(handshake(path, **headers)).answer().status == expected


def test_with_a_token_the_browser_shows_its_cookie(system, served):
    system.services.access = type(system.services.access)(api_token="full")
    app = Application(system.services)
    server = opened(app)
    try:
        _, cookie = app.gate.sessions.open("full", secure=False)
        for headers, expected in (
            ({}, 401),
            ({"Cookie": cookie.partition(";")[0]}, 101),
            ({"Authorization": "Bearer full"}, 101),
        ):
            with RawClient(server) as client:
                assert client.send(handshake("/ws/emails/me", **headers)).answer().status == expected
    finally:
        server.shutdown(0.5)


def test_costly_commands_count_as_calls_and_the_connection_stays(system, monkeypatch):
    counted: list[str] = []
    monkeypatch.setattr("web.app.PUSH_EVERY_S", 3600.0)
    services = system.services
    services.refused = counted.append
    services.access = type(services.access)(allowed_hosts=("x",), api_rate=0.001)
    server = opened(Application(services))
    try:
        with Events(server, "/ws/emails/a") as client:  # the handshake is the one call that the limit allows
            answers = [client.command(command="fetch_stats").next()]
            answers += [client.command(command="subscribe", topic="stats", since="0-0").next()]
            assert {each["type"] for each in answers} == {"error"}
            assert all("too many calls" in each["message"] for each in answers)
            assert client.command(command="ping").next()["type"] == "pong"
            assert client.command(command="subscribe", topic="stats").next()["type"] == "subscription"
        assert counted == ["api", "api"]
    finally:
        server.shutdown(0.5)


def test_a_burst_beyond_the_outbox_comes_whole_and_without_another_event(served, system):
    """The outbox holds a quarter of a megabyte; the figures' push, which comes once a second, has no part in it."""
    with Events(served, "/ws/emails/me") as client:
        client.command(command="ping").next(lambda message: message["type"] == "pong")
        names = [f"{number:04d}" + "x" * 1000 for number in range(3000)]
        system.services.hub.publish(
            [LogEntry(name, encode_event("new", {"count": 1, "email_ids": [name]}, time.time())) for name in names]
        )
        got = [client.next(lambda message: numbered(message) or message["type"] == "dropped") for _ in names]
    assert [message["seq"] for message in got] == names
