"""`run.py tail` on a real WebSocket server: text for people, JSON for machines; it resumes when a connection ends."""

import argparse
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from commands import tail
from commands.client import CommandError, OtherServerError
from settings import Settings
from tests.web.server_clients import serving
from web.events import BEGINNING
from web.server_problems import Refusal
from web.websocket import LiveSocket


def event(number: int, kind: str = "process", **data: Any) -> dict[str, Any]:
    given = {
        "email_id": f"mail-{number}",
        "classification": "meeting",
        "confidence": 0.9,
        "subject": "Hi\x1b[31m",
        **data,
    }
    return {
        "type": "email_event",
        "event": kind,
        "data": given,
        "timestamp": "2026-01-31T12:00:00.000Z",
        "seq": f"s{number}",
    }


class Server:
    """Sends `rounds`, one list per connection, then disconnects; records the requests."""

    def __init__(self, *rounds: list[dict[str, Any]]) -> None:
        self.rounds = list(rounds)
        self.asked: list[Any] = []

    def __call__(self, socket: LiveSocket) -> None:
        if self.asked or len(self.rounds) < 2:
            text = socket.receive() if self.asked else None
            self.asked.append(json.loads(text) if text else None)
        else:
            self.asked.append(None)
        for message in self.rounds.pop(0):
            socket.send(json.dumps(message))


@pytest.fixture
def follow(capsys) -> Callable[..., str]:
    def run(server: Server, *words: str, **options: Any) -> str:
        parser = argparse.ArgumentParser()
        tail.add_arguments(parser)
        with serving(on_websocket=server, **options) as listening:
            url = f"http://127.0.0.1:{listening.server_port}"
            tail.run(parser.parse_args(words), Settings(base_url=url, api_token="secret"))
        captured = capsys.readouterr()
        return str(captured.out + captured.err)

    return run


def test_events_are_lines_that_are_safe_on_a_terminal(follow):
    told = [
        event(1),
        event(2, "new", count=3),
        event(3, "retry", reason="gone", error="404"),
        event(4, "dead", reason="gone"),
    ]
    out = follow(Server(told), "-n", "4")
    assert "12:00:00  meeting    0.90  Hi [31m  mail-1\n" in out
    assert "\x1b" not in out
    assert "3 listed" in out
    assert "dead mail-4  gone" in out


def test_machines_get_the_messages_as_they_come(follow):
    out = follow(Server([event(1), event(2, "label")]), "--json", "--event", "label", "-n", "1")
    assert json.loads(out) == event(2, "label")


def test_after_a_lost_connection_it_goes_on_after_the_last_event(follow):
    server = Server([event(1)], [event(2)])
    out = follow(server, "-n", "2")
    assert out.count("meeting") == 2
    assert server.asked == [None, {"command": "subscribe", "topic": "email:all", "since": "s1"}]


def test_it_may_begin_with_all_that_the_log_has(follow):
    from_the_oldest = {"type": "gap", "from": BEGINNING, "to": "s1", "reason": "another log"}
    server = Server([], [from_the_oldest, event(1)])
    out = follow(server, "--since", BEGINNING, "-n", "1")
    assert {"command": "subscribe", "topic": "email:all", "since": BEGINNING} in server.asked
    assert "missing" not in out
    assert "meeting" in out


def test_what_is_lost_is_said(follow):
    lost: list[dict[str, Any]] = [
        {"type": "gap", "from": "a", "to": "b", "reason": "trimmed"},
        {"type": "dropped", "count": 7},
    ]
    out = follow(Server([*lost, event(1)]), "-n", "1")
    assert "events are missing here: trimmed" in out
    assert "7 events were skipped" in out


def refusing(_environ):
    raise Refusal(401, "no")


def test_a_refusal_ends_it_with_one_line(follow):
    with pytest.raises(CommandError, match="answers 401"):
        follow(Server([]), authorize_websocket=refusing)


class Answering(socketserver.StreamRequestHandler):
    """Answers each connection with the server's next answer, then ends it."""

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(self.server.answers.pop(0))  # type: ignore[attr-defined]


@pytest.fixture
def answering() -> Iterator[Callable[..., str]]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def answer(*answers: bytes) -> str:
            server.answers = list(answers)  # type: ignore[attr-defined]
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield answer
        server.shutdown()
        thread.join()


AWAY = b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        b"-ERR unknown command\r\n",
        b"220 mail.example ESMTP\r\n",
    ],
)
def test_a_server_that_is_not_ours_ends_it_and_one_that_is_away_does_not(answering, answer):
    url = answering(b"", AWAY, answer)
    with pytest.raises(OtherServerError, match="set BASE_URL"):
        next(tail.messages(url, None))


@pytest.mark.parametrize("columns", [40, 80])
def test_an_id_is_whole_and_the_subject_gives_way(monkeypatch, columns):
    monkeypatch.setattr("commands.terminal.width", lambda: columns)
    email_id = "0123456789abcdef"
    lines = tail.line(event(1, email_id=email_id, subject="word " * 30)).splitlines()
    assert lines[-1].endswith(email_id)
    assert len(lines) == (2 if columns == 40 else 1)
    assert all(len(line) <= columns for line in lines)


def test_a_correction_is_marked():
    assert "corrected meeting" in tail.line(event(1, "label"))
