"""Many emails at once from servers that pipeline well, badly or not at all: each email is always the right one."""

import json
import socket
from collections.abc import Callable, Iterator

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Permanent
from fakemail import pipeline
from fakemail.client import FakeMailClient, Limits
from fakemail.pipeline import NotPlain, _Answers
from tests.fakemail.serving import answering

IDS = [f"id{number}" for number in range(40)]
LIMITS = Limits(max_email_bytes=5000, concurrency=4)


class Server:
    """Reads requests as they arrive and answers each with `answer(id)`; `together` records the requests per read."""

    def __init__(self, answer: Callable[[str], bytes]) -> None:
        self.answer = answer
        self.together: list[int] = []
        self.asked: list[str] = []

    def converse(self, sock: socket.socket, heads: bytes) -> None:
        while heads:
            ids = [head.split(b" ")[1].rpartition(b"/")[2].decode() for head in heads.split(b"\r\n\r\n") if head]
            self.together.append(len(ids))
            self.asked += ids
            self.reply(sock, ids)
            heads = sock.recv(65536)

    def reply(self, sock: socket.socket, ids: list[str]) -> None:
        for email_id in ids:
            sock.sendall(self.answer(email_id))
            gevent.sleep(0)


def answer(email_id: str, *headers: str, status: str = "200 OK", size: int = 20) -> bytes:
    body = json.dumps({"id": email_id, "subject": "s", "body": "b" * size}).encode()
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@pytest.fixture(autouse=True)
def _short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "GRACE_S", 0.1)
    monkeypatch.setattr(pipeline, "PROMPT_S", 0.01)


@pytest.fixture
def client_of() -> Iterator[Callable[[str], FakeMailClient]]:
    clients: list[FakeMailClient] = []

    def make(url: str) -> FakeMailClient:
        clients.append(FakeMailClient(url, limits=LIMITS))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


ClientOf = Callable[[str], FakeMailClient]


def fetch(client: FakeMailClient, ids: list[str] = IDS) -> list[str | None]:
    results = client.get_emails(ids)
    assert not [each for each in results if isinstance(each, Exception)], results
    return [each.id if each else None for each in results]  # type: ignore[union-attr]  # checked above


def is_on(client: FakeMailClient) -> bool:
    return client._pipelining.share(100, 1) > 1


def test_a_good_server_is_asked_for_several_at_once_after_a_trial_of_two(client_of: ClientOf) -> None:
    server = Server(answer)
    with answering(server.converse) as url:
        client = client_of(url)
        assert [fetch(client) for _ in range(3)] == [IDS] * 3
    assert sorted(server.asked) == sorted(IDS * 3)
    assert server.together[:5].count(1) >= 1
    assert 2 in server.together
    assert max(server.together) >= 10


def test_what_is_not_there_is_asked_for_again_alone_and_spoils_nothing(client_of: ClientOf) -> None:
    gone = IDS[20]
    server = Server(lambda email_id: answer(email_id, status="404 Not Found" if email_id == gone else "200 OK"))
    with answering(server.converse) as url:
        client = client_of(url)
        fetch(client, IDS[:12])
        assert fetch(client) == [None if email_id == gone else email_id for email_id in IDS]
        assert server.asked.count(gone) == 2
        assert is_on(client)


def wrong_order(server: Server, sock: socket.socket, ids: list[str]) -> None:
    for email_id in reversed(ids):
        sock.sendall(server.answer(email_id))


def first_alone(server: Server, sock: socket.socket, ids: list[str]) -> None:
    sock.sendall(server.answer(ids[0]))


def first_and_close(server: Server, sock: socket.socket, ids: list[str]) -> None:
    sock.sendall(server.answer(ids[0]))
    if len(ids) > 1:
        sock.close()


def failing(server: Server, sock: socket.socket, ids: list[str]) -> None:
    for email_id in ids:
        sock.sendall(answer(email_id, status="200 OK" if len(ids) == 1 else "500 Oops"))


def chunked(_server: Server, sock: socket.socket, ids: list[str]) -> None:
    for email_id in ids:
        head, _, body = answer(email_id).partition(b"\r\n\r\n")
        head = head.split(b"\r\n")[0] + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
        sock.sendall(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))


def with_surplus(server: Server, sock: socket.socket, ids: list[str]) -> None:
    sock.sendall(b"".join(map(server.answer, ids)) + (server.answer("smuggled") if len(ids) > 1 else b""))


@pytest.mark.parametrize("trick", [wrong_order, first_alone, first_and_close, failing, chunked, with_surplus])
def test_a_server_that_is_bad_at_it_is_asked_one_by_one(
    client_of: ClientOf, trick: Callable[[Server, socket.socket, list[str]], None]
) -> None:
    server = Server(answer)
    server.reply = lambda sock, ids: trick(server, sock, ids)  # type: ignore[method-assign]  # the trick
    with answering(server.converse) as url:
        client = client_of(url)
        assert fetch(client) == IDS
        assert not is_on(client)
        tried = len(server.together)
        assert fetch(client) == IDS
        assert set(server.together[tried:]) == {1}


def test_a_server_that_closes_now_and_then_loses_nothing_and_stays_trusted(client_of: ClientOf) -> None:
    server = Server(answer)

    def three_and_close(sock: socket.socket, ids: list[str]) -> None:
        for email_id in ids[:3]:
            sock.sendall(answer(email_id))
        if len(ids) > 3:
            sock.close()

    server.reply = three_and_close  # type: ignore[method-assign]  # the trick
    with answering(server.converse) as url:
        client = client_of(url)
        assert [fetch(client) for _ in range(3)] == [IDS] * 3
        assert is_on(client)


def test_connections_that_were_closed_meanwhile_say_nothing_about_pipelining(client_of: ClientOf) -> None:
    server = Server(answer)
    with answering(server.converse) as url:
        client = client_of(url)
        fetch(client)
        for sock, _ in client._connections._idle:
            sock.shutdown(socket.SHUT_RDWR)
        assert fetch(client) == IDS
        assert is_on(client)


def test_an_email_that_is_too_large_fails_alone(client_of: ClientOf) -> None:
    large = IDS[20]
    server = Server(lambda email_id: answer(email_id, size=6000 if email_id == large else 20))
    with answering(server.converse) as url:
        client = client_of(url)
        fetch(client, IDS[:12])
        results = client.get_emails(IDS)
    assert isinstance(results[20], Permanent)
    assert [each.id for each in results if each and not isinstance(each, Exception)] == [*IDS[:20], *IDS[21:]]


def test_a_caller_who_gives_up_leaves_no_connection_half_read(client_of: ClientOf) -> None:
    server = Server(answer)
    with answering(server.converse) as url:
        client = client_of(url)
        fetch(client)
        server.reply = lambda sock, ids: gevent.sleep(1)  # type: ignore[method-assign]  # the trick
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.02):
            client.get_emails(IDS)
        gevent.sleep(0)
        assert client._slots.counter == LIMITS.concurrency
        assert client._connections._idle == []


@given(st.data())
def test_answers_are_the_same_however_they_arrive(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(0, 300), max_size=8))
    stream = b"".join(answer(str(number), size=size) for number, size in enumerate(sizes))
    answers, found = _Answers(5000), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += answers.feed(stream[:cut])
        stream = stream[cut:]
    assert not answers.surplus
    assert [json.loads(body or b"")["id"] for body in found] == [str(number) for number in range(len(sizes))]


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.0 200 OK\r\nContent-Length: 2",
        "HTTP/1.1 302 Found\r\nContent-Length: 2",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2",
        "HTTP/1.1 200 OK\r\nContent-Length: -2",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: gzip",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n X-Folded: a",
        "junk\r\nContent-Length: 2",
    ],
)
def test_only_plain_answers_are_read(head: str) -> None:
    with pytest.raises(NotPlain):
        _Answers(5000).feed(head.encode() + b"\r\n\r\n{}")


def test_a_head_without_end_is_given_up() -> None:
    with pytest.raises(NotPlain):
        _Answers(5000).feed(b"x" * (pipeline.MAX_HEAD_BYTES + 1))


def test_a_connection_that_is_said_to_be_kept_is_plain() -> None:
    assert _Answers(10).feed(b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\ncontent-length: 2\r\n\r\n{}") == [b"{}"]
