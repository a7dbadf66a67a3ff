"""The hub: each event framed once and sent to every subscriber, at each client's own pace, and never twice."""

import json
from unittest.mock import Mock

import pytest

from actors.events import message
from engine.errors import DependencyTrouble
from engine.mailbox import LogEntry, LogRead
from web import live
from web.live import Hub
from web.live_client import answer
from web.websocket_frames import encode_text


class Socket:
    """Stands in for a LiveSocket: keeps what it is sent, as long as it has room."""

    def __init__(self, room=10_000):
        self.room = room
        self.closed = False
        self.sent = b""

    def send(self, text):
        return self.send_encoded(encode_text(text))

    def send_encoded(self, frame):
        if self.closed or self.room <= 0:
            return False
        self.room -= 1
        self.sent += frame
        return True

    def messages(self):
        """Return all messages so far, decoded."""
        found, data, self.sent = [], self.sent, b""
        while data:
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(data[2:10], "big"), 10
            found.append(json.loads(data[start : start + size]))
            data = data[start + size :]
        return found


class Log:
    """Stands in for the event log, with entries s001, s002, …"""

    def __init__(self):
        self.entries = []
        self.reads = 0
        self.on_read = None
        self.oldest = 0

    def add(self, *events):
        new = []
        for event in events:
            data = json.dumps(
                {"event": event, "data": {"email_id": f"e{len(self.entries)}"}, "timestamp": "t"}, separators=(",", ":")
            )
            new.append(LogEntry(f"s{len(self.entries) + 1:03d}", data.encode()))
            self.entries.append(new[-1])
        return new

    def read_log(self, after, *, count, block=0.0):
        self.reads += 1
        gap = None
        if not after.startswith("s") or after < f"s{self.oldest:03d}":
            after, gap = f"s{self.oldest:03d}", "trimmed"
        found = [entry for entry in self.entries if entry.seq > after][:count]
        page = LogRead(found, found[-1].seq if found else after, gap)
        if self.on_read:
            hook, self.on_read = self.on_read, None
            hook()
        return page


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def hub(log):
    return Hub(log)


def send(hub, client, **command):
    reply = answer(hub, client, json.dumps(command), lambda: {"queue_depth": 1})
    hub.advance(client)
    return reply


def seqs(client):
    return [each["seq"] for each in client.socket.messages() if "seq" in each]


def test_an_event_is_the_logs_json_with_its_seq(log):
    [entry] = log.add("new")
    assert json.loads(message(entry)) == {
        "type": "email_event",
        "event": "new",
        "data": {"email_id": "e0"},
        "timestamp": "t",
        "seq": "s001",
    }


def test_a_fresh_client_gets_everything_from_now_on(hub, log):
    hub.publish(log.add("new"))
    client = hub.join(Socket())
    hub.publish(log.add("process", "retry", "dead", "label"))
    assert [each["event"] for each in client.socket.messages()] == ["process", "retry", "dead", "label"]


def test_topics_narrow_what_comes(hub, log):
    client = hub.join(Socket())
    send(hub, client, command="unsubscribe", topic="email:all")
    send(hub, client, command="subscribe", topic="email:process")
    send(hub, client, command="subscribe", topic="email:dead")
    client.socket.messages()
    hub.publish(log.add("process", "retry", "dead"))
    assert [each["event"] for each in client.socket.messages()] == ["process", "dead"]
    send(hub, client, command="unsubscribe", topic="email:dead")
    hub.publish(log.add("process", "dead"))
    assert [each["event"] for each in client.socket.messages()] == ["process"]


def test_frames_are_joined_once_for_all_who_stand_at_the_same_place(hub, log, monkeypatch):
    made = []
    original = Hub._own_share

    def own_share(self, client):
        made.append(client)
        return original(self, client)

    monkeypatch.setattr(Hub, "_own_share", own_share)
    clients = [hub.join(Socket()) for _ in range(100)]
    hub.publish(log.add("new", "process", "process"))
    assert len(made) == 1
    assert {len(seqs(client)) for client in clients} == {3}


def test_commands_are_answered_and_others_are_errors_that_keep_the_connection(hub):
    client = hub.join(Socket())
    assert send(hub, client, command="ping")["type"] == "pong"
    stats = send(hub, client, command="fetch_stats") or {}
    assert (stats["event"], stats["data"], "seq" in stats) == ("stats", {"queue_depth": 1}, False)
    reply = send(hub, client, command="unsubscribe", topic="stats")
    assert reply == {"type": "subscription", "status": "success", "topic": "stats"}
    for wrong in (
        {"command": "dance"},
        {"command": "subscribe"},
        {"command": "subscribe", "topic": "x"},
        {},
        {"command": 1},
    ):
        assert send(hub, client, **wrong)["type"] == "error"
    for text in (
        "",
        "[]",
        "{",
        "null",
        "[" * 5000,
        '{"command": "ping", "command": 2}',
        '{"command":"subscribe","topic":["a"]}',
    ):
        assert (answer(hub, client, text, dict) or {})["type"] == "error"


def test_what_was_missed_is_played_in_order_before_live_goes_on(hub, log):
    hub.publish(log.add("new", "process", "retry"))
    client = hub.join(Socket())
    send(hub, client, command="subscribe", topic="email:all", since="s001")
    hub.publish(log.add("dead"))
    messages = client.socket.messages()
    assert messages[0] == {"type": "subscription", "status": "success", "topic": "email:all"}
    assert [each["seq"] for each in messages[1:]] == ["s002", "s003", "s004"]


def test_live_events_before_the_command_are_not_played_again(hub, log):
    hub.publish(log.add("new", "process"))
    client = hub.join(Socket())
    hub.publish(log.add("new"))
    assert seqs(client) == ["s003"]
    send(hub, client, command="subscribe", topic="email:all", since="s001")
    hub.publish(log.add("new"))
    assert seqs(client) == ["s002", "s004"]


def test_a_since_that_is_newer_than_what_came_live_plays_nothing(hub, log):
    client = hub.join(Socket())
    hub.publish(log.add("new", "new"))
    assert seqs(client) == ["s001", "s002"]
    send(hub, client, command="subscribe", topic="email:all", since="s002")
    hub.publish(log.add("new"))
    assert seqs(client) == ["s003"]


def test_events_that_come_during_a_replay_follow_it(hub, log):
    hub.publish(log.add("new", "new"))
    client = hub.join(Socket())
    log.on_read = lambda: hub.publish(log.add("process"))
    send(hub, client, command="subscribe", topic="email:all", since="s000")
    hub.publish(log.add("dead"))
    assert seqs(client) == ["s001", "s002", "s003", "s004"]


def test_the_log_may_be_ahead_of_what_was_published_here(hub, log):
    hub.publish(log.add("new"))
    client = hub.join(Socket())
    ahead = log.add("process", "process")
    send(hub, client, command="subscribe", topic="email:all", since="s000")
    hub.publish(ahead)
    hub.publish(log.add("dead"))
    assert seqs(client) == ["s001", "s002", "s003", "s004"]


def test_a_client_may_be_ahead_of_this_node(hub, log):
    hub.publish(log.add("new"))
    client = hub.join(Socket())
    ahead = log.add("process", "process")
    send(hub, client, command="subscribe", topic="email:all", since="s003")
    hub.publish(ahead)
    hub.publish(log.add("dead"))
    assert seqs(client) == ["s004"]


def test_a_node_that_has_published_nothing_yet_plays_the_log_too(hub, log):
    first = log.add("new", "process")
    client = hub.join(Socket())
    send(hub, client, command="subscribe", topic="email:all", since="s001")
    hub.publish(first[1:])
    hub.publish(log.add("dead"))
    assert seqs(client) == ["s002", "s003"]


def test_a_topic_with_since_is_played_alone(hub, log):
    hub.publish(log.add("new", "process", "dead"))
    client = hub.join(Socket())
    send(hub, client, command="unsubscribe", topic="email:all")
    send(hub, client, command="subscribe", topic="email:process", since="s000")
    send(hub, client, command="subscribe", topic="email:dead", since="s000")
    assert seqs(client) == ["s002", "s003"]
    hub.publish(log.add("process", "new", "dead"))
    assert seqs(client) == ["s004", "s006"]


def test_subscribing_to_all_does_not_repeat_a_topic_that_was_live(hub, log):
    client = hub.join(Socket())
    send(hub, client, command="unsubscribe", topic="email:all")
    send(hub, client, command="subscribe", topic="email:process")
    hub.publish(log.add("new", "process", "new"))
    assert seqs(client) == ["s002"]
    send(hub, client, command="subscribe", topic="email:all", since="s000")
    hub.publish(log.add("new"))
    assert seqs(client) == ["s001", "s003", "s004"]


def test_a_since_that_the_log_does_not_know_says_gap(hub, log):
    hub.publish(log.add("new", "new", "new"))
    log.oldest = 2
    client = hub.join(Socket())
    send(hub, client, command="subscribe", topic="email:all", since="s001")
    messages = client.socket.messages()
    assert messages[1] == {"type": "gap", "from": "s001", "to": "s003", "reason": "trimmed"}
    assert [each["seq"] for each in messages[2:]] == ["s003"]


def test_who_resumes_from_the_seq_of_another_log_gets_what_is_told_from_then_on(hub, log, monkeypatch):
    """Redis was wiped and the new log is still empty: by chance, the old seq is above or below all of the new ones."""
    monkeypatch.setattr(log, "read_log", lambda *_, **__: LogRead([], "s000", "another log"))
    client = hub.join(Socket())

    send(hub, client, command="subscribe", topic="email:all", since="z999")

    assert client.socket.messages()[-1] == {"type": "gap", "from": "z999", "to": "s000", "reason": "another log"}
    hub.publish(log.add("new", "process"))
    assert seqs(client) == ["s001", "s002"]


def test_of_another_log_that_has_events_all_are_played(hub, log):
    log.add("new", "new")
    client = hub.join(Socket())
    send(hub, client, command="subscribe", topic="email:all", since="z999")
    hub.publish(log.entries)
    hub.publish(log.add("new"))
    assert seqs(client) == ["s001", "s002", "s003"]


def test_a_replay_that_cannot_be_read_is_an_error_that_names_its_topic(hub, log, monkeypatch):
    def away(*_, **__):
        raise DependencyTrouble("away", dependency="redis")

    monkeypatch.setattr(log, "read_log", away)
    client = hub.join(Socket())
    reply = send(hub, client, command="subscribe", topic="email:new", since="s000")
    assert (reply["type"], reply["topic"]) == ("error", "email:new")
    assert "redis" in reply["message"]


def test_a_log_that_is_replaced_during_the_last_page_of_a_replay_leaves_nobody_deaf(hub, log):
    """By chance, all seqs of the new log are below those of the old one."""
    hub.publish(log.add("new", "new"))
    client = hub.join(Socket())
    log.on_read = lambda: setattr(log, "on_read", lambda: hub.gap("another log"))
    send(hub, client, command="subscribe", topic="email:all", since="s000")
    assert seqs(client) == ["s001", "s002"]
    hub.publish([LogEntry("a001", b'{"event":"new","data":{},"timestamp":"t"}')])
    assert [each.get("seq") or each["type"] for each in client.socket.messages()] == ["gap", "a001"]


def test_a_broken_log_is_told_to_all_with_the_next_event(hub, log):
    hub.publish(log.add("new"))
    client = hub.join(Socket())
    hub.gap("another log")
    hub.publish([LogEntry("t001", b'{"event":"new","data":{},"timestamp":"t"}')])
    gap, event = client.socket.messages()
    assert gap == {"type": "gap", "from": "s001", "to": "t001", "reason": "another log"}
    assert event["seq"] == "t001"


def test_a_slow_client_is_told_of_a_gap_and_of_what_it_had_not_had_by_then(hub, log):
    behind, full = hub.join(Socket(room=1)), hub.join(Socket(room=1))
    send(hub, behind, command="unsubscribe", topic="email:all")
    behind.topics |= {"email:dead"}
    behind.socket.room = 0
    hub.publish(log.add("new", "dead", "dead"))
    assert seqs(full) == ["s001", "s002", "s003"]
    hub.gap("trimmed")
    for client in (behind, full):
        client.socket.messages()
    late = [LogEntry("t001", b'{"event":"dead","data":{},"timestamp":"t"}')]
    hub.publish(late)
    for client in (behind, full):
        client.socket.room = 10
        hub.resume(client)
    gap = {"type": "gap", "from": "s003", "to": "t001", "reason": "trimmed"}
    assert behind.socket.messages()[:2] == [{"type": "dropped", "count": 2}, gap]
    assert full.socket.messages()[0] == gap


def test_it_is_told_of_the_gap_also_where_no_event_follows_that_it_wants(hub, log):
    client = hub.join(Socket())
    send(hub, client, command="unsubscribe", topic="email:all")
    client.socket.room = 0
    hub.gap("trimmed")
    hub.publish(log.add("new"))
    client.socket.room = 10
    client.socket.messages()
    hub.resume(client)
    assert [each["type"] for each in client.socket.messages()] == ["gap"]


def test_what_was_lost_during_a_replay_is_told_behind_it(hub, log, monkeypatch):
    monkeypatch.setattr(live, "RING_EVENTS", 2)
    hub.publish(log.add("new", "new"))
    client = hub.join(Socket())

    def meanwhile():
        hub.publish(log.add("dead", "dead", "dead", "dead"))
        hub.resume(client)

    log.on_read = meanwhile
    send(hub, client, command="subscribe", topic="email:all", since="s000")
    kinds = [each.get("event") or each["type"] for each in client.socket.messages()]
    assert kinds.index("dropped") > kinds.index("new")


def test_a_slow_client_catches_up_from_the_ring(hub, log):
    client = hub.join(Socket(room=1))
    other = hub.join(Socket())
    for _ in range(5):
        hub.publish(log.add("new"))
    assert seqs(client) == ["s001"]
    assert len(seqs(other)) == 5
    client.socket.room = 100
    hub.publish(log.add("new"))
    assert seqs(client) == ["s002", "s003", "s004", "s005", "s006"]


@pytest.fixture
def behind(hub, log, monkeypatch):
    """A client that read too slowly: of nine events it got the first one, and s002 to s006 have left the ring."""
    monkeypatch.setattr(live, "RING_EVENTS", 3)
    client = hub.join(Socket(room=1))
    for _ in range(8):
        hub.publish(log.add("new"))
    assert seqs(client) == ["s001"]
    client.socket.room = 100
    hub.publish(log.add("new"))
    return client


def test_what_leaves_the_ring_first_is_counted_and_told(behind):
    dropped, *events = behind.socket.messages()
    assert dropped == {"type": "dropped", "count": 5}
    assert [each["seq"] for each in events] == ["s007", "s008", "s009"]


def test_who_was_told_of_losses_resumes_from_its_last_seq_on_the_same_connection(hub, log, behind):
    assert behind.socket.messages()[0] == {"type": "dropped", "count": 5}
    send(hub, behind, command="subscribe", topic="email:all", since="s001")
    assert seqs(behind) == ["s002", "s003", "s004", "s005", "s006"]
    hub.publish(log.add("new"))
    assert seqs(behind) == ["s010"]


def test_only_events_that_a_client_wanted_count_as_lost(hub, log, monkeypatch):
    monkeypatch.setattr(live, "RING_EVENTS", 2)
    client = hub.join(Socket(room=2))
    send(hub, client, command="unsubscribe", topic="email:all")
    send(hub, client, command="subscribe", topic="email:dead")
    client.socket.room = 0
    hub.publish(log.add("dead", "new", "dead"))
    hub.publish(log.add("new", "new", "new"))
    client.socket.room = 10
    client.socket.messages()
    hub.publish(log.add("dead"))
    assert [each.get("count") or each["seq"] for each in client.socket.messages()] == [2, "s007"]


def test_a_ring_is_bounded_by_bytes_too(hub, log, monkeypatch):
    monkeypatch.setattr(live, "RING_BYTES", 400)
    for _ in range(50):
        hub.publish(log.add("new"))
    assert hub._ring_bytes <= 400
    assert hub.count == 50


def test_a_message_without_seq_goes_to_those_who_listen(hub):
    everything, nothing = hub.join(Socket()), hub.join(Socket())
    send(hub, nothing, command="unsubscribe", topic="email:all")
    assert hub.wanted("stats")
    hub.push("stats", b'{"event":"stats"}')
    assert everything.socket.messages() == [{"event": "stats"}]
    assert nothing.socket.messages() == []
    hub.leave(everything)
    assert not hub.wanted("stats")


def test_for_a_thousand_clients_an_event_is_framed_once_and_all_of_a_tick_are_one_message(hub, log, monkeypatch):
    framing, sockets = Mock(wraps=encode_text), [Socket() for _ in range(1000)]
    monkeypatch.setattr("web.live.encode_text", framing)
    for socket in sockets:
        hub.join(socket)
    hub.publish(log.add(*["process"] * 50))
    assert framing.call_count == 50
    assert {10_000 - socket.room for socket in sockets} == {1}


def test_those_who_wait_for_one_email_are_woken_by_its_end_alone(hub, log):
    event = hub.watch("e1")
    hub.publish(log.add("process", "retry"))
    assert not event.is_set()
    hub.publish([LogEntry("s9", b'{"event":"dead","data":{"email_id":"e1"},"timestamp":"t"}')])
    assert event.is_set()
    hub.unwatch("e1", event)
    hub.publish(log.add("process"))


def test_a_slow_client_catches_up_without_a_new_event_too(hub, log):
    client = hub.join(Socket(room=1))
    hub.publish(log.add("new"))
    hub.publish(log.add("new"))
    client.socket.room = 10
    hub.resume(client)
    assert seqs(client) == ["s001", "s002"]


def test_few_pieces_are_kept_joined_however_many_clients_lag_at_places_of_their_own(hub, log, monkeypatch):
    monkeypatch.setattr(live, "PIECE_BYTES", 1)
    monkeypatch.setattr(live, "SHARES", 3)
    clients = []
    for _ in range(10):
        clients.append(hub.join(Socket(room=0)))
        hub.publish(log.add("new"))
    for client in clients:
        client.socket.room = 100
        hub.resume(client)
    assert [len(client.socket.messages()) for client in clients] == list(range(10, 0, -1))
    assert len(hub._joined) <= live.SHARES
