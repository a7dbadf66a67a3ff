"""The client against real servers that misbehave in every way; each table row is one misbehaviour on one call."""

import gzip
import json
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from engine.errors import DependencyTrouble, EngineError, MessageTrouble, Permanent, SettingsError, Throttled
from engine.handling import HandlerTimeout
from fakemail.breaker import CircuitBreaker, Refused
from fakemail.client import FakeMailClient, Limits, encode_id
from fakemail.transport import Timeouts
from tests.fakemail.serving import answering, flooding, serving

QUICK = Timeouts(connect_s=0.2, read_s=0.2, total_s=0.4)
LIMITS = Limits(max_body_bytes=100, max_email_bytes=5000, max_listing_bytes=5000)
HURRIED = Limits(call=QUICK, listing=QUICK)
EMAIL = {"id": "a", "subject": "s", "body": "b"}


_clients: list[FakeMailClient] = []


def client_of(url: str, token: str | None = None, *, threshold: int = 5, limits: Limits = LIMITS) -> FakeMailClient:
    breaker = CircuitBreaker(threshold=threshold, base_s=60, cap_s=60)
    _clients.append(FakeMailClient(url, token, limits=limits, breaker=breaker))
    return _clients[-1]


@pytest.fixture(autouse=True)
def _close_clients() -> Iterator[None]:
    yield
    while _clients:
        _clients.pop().close()


def get(client: FakeMailClient) -> Any:
    return client.get_email("a")


def listing(client: FakeMailClient) -> Any:
    return client.list_emails(0)


def response(status: str = "200 OK", body: bytes = b"", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def fixed(answer: bytes) -> Callable[[socket.socket, bytes], None]:
    return lambda sock, _head: sock.sendall(answer)


def outcome(call: Callable[[FakeMailClient], Any], answer: bytes) -> EngineError:
    with answering(fixed(answer)) as url, pytest.raises(EngineError) as caught:
        call(client_of(url))
    return caught.value


# What each call sends and returns.


def test_the_five_calls_say_what_the_contract_says() -> None:
    seen: list[tuple[str, str, str, Any, str | None]] = []
    answers: dict[str, Any] = {
        "/base/watch": {"history_id": 41},
        "/base/subscribe": {"status": "ok"},
        "/base/emails": ["a", "b"],
        "/base/email/a": EMAIL | {"history_id": 4, "extra": 1},
        "/base/classify": {"classification": "intro", "confidence": 0.25},
    }

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        text = environ["wsgi.input"].read()
        body = json.loads(text) if text else None
        auth = environ.get("HTTP_AUTHORIZATION")
        seen.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"], body, auth))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answers[environ["PATH_INFO"]]).encode()]

    with serving(app) as url:
        client = client_of(f"{url}/base/", token="t0ken")
        assert client.watch() == 41
        client.subscribe("http://127.0.0.1/webhook")
        assert client.list_emails(7) == ["a", "b"]
        email = client.get_email("a")
        assert email is not None
        assert (email.subject, email.history_id) == ("s", 4)
        assert client.classify("s\ud800", "b") == ("intro", 0.25)
    bearer = "Bearer t0ken"
    assert seen == [
        ("POST", "/base/watch", "", {}, bearer),
        ("POST", "/base/subscribe", "", {"webhook_url": "http://127.0.0.1/webhook"}, bearer),
        ("GET", "/base/emails", "from_history_id=7", None, bearer),
        ("GET", "/base/email/a", "", None, bearer),
        ("POST", "/base/classify", "", {"subject": "s\ud800", "body": "b"}, bearer),
    ]


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:80", "ftp://h", "http://", "http://u:p@h", "file:///etc/passwd", "http://h:99999"]
)
def test_a_base_url_that_cannot_be_used_is_a_settings_error(url: str) -> None:
    with pytest.raises(SettingsError, match="FAKEMAIL_API_URL"):
        FakeMailClient(url)


@pytest.mark.parametrize("token", ["a\r\nX: y", "é"])
def test_a_token_that_cannot_be_a_header_is_a_settings_error(token: str) -> None:
    with pytest.raises(SettingsError, match="FAKEMAIL_API_TOKEN"):
        FakeMailClient("http://h", token)


@pytest.mark.parametrize(
    ("email_id", "segment"),
    [
        ("abc19", "abc19"),
        ("a/b", "a%2Fb"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("a%2Fb?#", "a%252Fb%3F%23"),
        ("é\x00", "%C3%A9%00"),
        ("\ud800", "%ED%A0%80"),
        ("a b+", "a%20b%2B"),
        ("\u0661", "%D9%A1"),
    ],
)
def test_an_id_is_one_path_segment_that_nothing_normalises(email_id: str, segment: str) -> None:
    assert encode_id(email_id) == segment


# FakeMail's troubles.


@pytest.mark.parametrize("call", [get, listing])
@pytest.mark.parametrize(
    "answer",
    [
        response("500 Oops"),
        response("502 Bad Gateway", b"<html>"),
        response("503 Away"),
        response("200 OK", b"<html>hello</html>"),
        response("200 OK", b'{"id": "a", "subject": "s'),
        response("200 OK", b'{"id": NaN, "emails": [NaN]}'),
        response("200 OK", b"17"),
        response("200 OK", b'{"id": 7, "emails": 7}'),
        response("204 No Content"),
        response("302 Found", b"", "Location: http://169.254.169.254/"),
        response("301 Moved", b"", "Location: file:///etc/passwd"),
        response("304 Not Modified"),
        response("407 Proxy"),
        response("408 Timeout"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n",
        response("200 OK", b"[]", "Content-Encoding: br"),
        response("200 OK", b"[]", "Content-Encoding: gzip, gzip"),
        response("200 OK", b"not gzip", "Content-Encoding: gzip"),
        response("200 OK", gzip.compress(json.dumps(EMAIL).encode())[:-12], "Content-Encoding: gzip"),
    ],
    ids=lambda answer: repr(answer[:60]) if isinstance(answer, bytes) else answer.__name__,
)
def test_nonsense_is_trouble_of_fakemail(call: Callable[[FakeMailClient], Any], answer: bytes) -> None:
    error = outcome(call, answer)
    assert type(error) is not Throttled
    assert isinstance(error, DependencyTrouble)
    assert error.dependency == "fakemail"


def test_a_wrong_id_in_the_answer_is_trouble_of_fakemail() -> None:
    assert isinstance(outcome(get, response(body=json.dumps(EMAIL | {"id": "b"}).encode())), DependencyTrouble)


@pytest.mark.parametrize("call", [get, listing])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_told(call: Callable[[FakeMailClient], Any], status: int) -> None:
    error = outcome(call, response(f"{status} No"))
    assert isinstance(error, DependencyTrouble)
    assert "refused the token" in str(error)


@pytest.mark.parametrize("call", [get, listing])
@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, ["Retry-After: 7"], 7.0),
        (429, [], 1.0),
        (429, ["Retry-After: -5"], 1.0),
        (429, ["Retry-After: 1000000000"], 300.0),
        (429, ["Retry-After: soon"], 1.0),
        (429, ["Retry-After: Tue, 14 Jul 2099 03:34:20 GMT"], 300.0),
        (503, ["Retry-After: 9"], 9.0),
    ],
)
def test_a_request_to_wait_is_throttled_and_holds_all_calls_back(
    call: Callable[[FakeMailClient], Any], status: int, headers: list[str], seconds: float
) -> None:
    with answering(fixed(response(f"{status} Wait", b"", *headers))) as url:
        client = client_of(url)
        with pytest.raises(Throttled) as caught:
            call(client)
        assert caught.value.retry_after == seconds
    with pytest.raises(Throttled) as caught:  # without a call: the server is gone
        client.watch()
    assert caught.value.retry_after == pytest.approx(seconds, abs=1)


def test_an_email_that_asks_to_wait_again_is_its_own_trouble_and_holds_back_nobody() -> None:
    with answering(fixed(response("429 Wait", b"", "Retry-After: 9"))) as url:
        client = client_of(url)
        with pytest.raises(Throttled):
            client.get_email("sick")
        client.breaker._throttled_until = 0.0
        with pytest.raises(DependencyTrouble) as caught:
            client.get_email("sick")
        assert (type(caught.value), caught.value.retry_after) == (DependencyTrouble, 9.0)
        with pytest.raises(Throttled, match="status 429"):  # it was called all the same
            client.get_email("another")


def test_what_is_handed_over_of_a_failed_fetch_keeps_no_answer_alive() -> None:
    """Regression: a hundred answers of eight megabytes each stayed in memory until the next full collection."""
    with answering(fixed(response("200 OK", b"[" * 4_000))) as url:
        (error,) = client_of(url).get_emails(["a"])
    assert isinstance(error, DependencyTrouble)
    assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)


def test_an_answer_that_nobody_asked_for_does_not_change_the_first() -> None:
    with answering(fixed(response("200 OK", b'{"history_id": 5}') + response("404 Not Found", b""))) as url:
        assert client_of(url).watch() == 5


def test_a_closed_port_and_an_unknown_host_are_trouble_of_fakemail() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "http://no-such-host.invalid", f"http://{'a' * 70}.example"):
        with pytest.raises(DependencyTrouble, match="no connection"):
            client_of(url).watch()


# Troubles with a single email.


@pytest.mark.parametrize("status", [404, 410])
def test_an_email_that_is_gone_is_none(status: int) -> None:
    with answering(fixed(response(f"{status} Gone", b"{}"))) as url:
        assert client_of(url).get_email("a") is None


def test_a_listing_that_is_not_there_is_trouble_of_fakemail() -> None:
    assert isinstance(outcome(listing, response("404 Not Found", b"{}")), DependencyTrouble)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (response("400 Bad"), "fetch_failed"),
        (response("422 Bad"), "fetch_failed"),
        (response("414 Long"), "fetch_failed"),
        (response(body=json.dumps(EMAIL | {"subject": ["s"]}).encode()), "invalid_email"),
        (response(body=json.dumps(EMAIL | {"body": True}).encode()), "invalid_email"),
        (response(body=json.dumps(EMAIL | {"body": "b" * 6000}).encode()), "too_large"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n{", "too_large"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1" + b"0" * 300 + b"\r\n\r\n{", None),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 6000, "too_large"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, "too_large"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000, "too_large"),
        (response("200 OK", gzip.compress(b" " * 10**6), "Content-Encoding: gzip"), "too_large"),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else None,
)
def test_an_email_that_can_never_be_had_is_permanent(answer: bytes, reason: str | None) -> None:
    error = outcome(get, answer)
    assert (error.reason if isinstance(error, MessageTrouble) else None) == reason
    assert isinstance(error, Permanent if reason else DependencyTrouble)


def test_an_over_long_listing_is_trouble_of_fakemail() -> None:
    assert isinstance(outcome(listing, response(body=json.dumps(["a" * 100] * 100).encode())), DependencyTrouble)


def test_an_empty_id_is_never_asked_for() -> None:
    with pytest.raises(Permanent) as caught:
        client_of("http://127.0.0.1:1").get_email("")
    assert caught.value.reason == "invalid_email"


def test_a_long_body_is_cut_and_flagged() -> None:
    with answering(fixed(response(body=json.dumps(EMAIL | {"body": "é" * 99}).encode()))) as url:
        email = client_of(url).get_email("a")
    assert email is not None
    assert (email.body, email.truncated) == ("é" * 50, True)


@pytest.mark.parametrize("packed", [gzip.compress, zlib.compress])
def test_a_compressed_answer_is_read_though_we_did_not_ask_for_it(packed: Callable[[bytes], bytes]) -> None:
    encoding = "gzip" if packed is gzip.compress else "deflate"
    answer = response("200 OK", packed(json.dumps(EMAIL).encode()), f"Content-Encoding: {encoding}")
    with answering(fixed(answer)) as url:
        assert client_of(url).get_email("a") is not None


def test_interim_answers_empty_headers_and_chunks_are_read() -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in json.dumps(EMAIL).encode())
    head = b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nEmpty:\r\nTransfer-Encoding: chunked\r\n\r\n"
    with answering(fixed(head + chunks + b"0\r\n\r\n")) as url:
        assert client_of(url).get_email("a") is not None


# Time.


def hang(_sock: socket.socket, _head: bytes) -> None:
    gevent.sleep(60)


def trickle(sock: socket.socket, _head: bytes) -> None:
    for byte in response(body=json.dumps(EMAIL).encode()):
        sock.sendall(bytes([byte]))
        gevent.sleep(0.1)


def headers_only(sock: socket.socket, _head: bytes) -> None:
    sock.sendall(response(body=b"{}")[:-2])
    gevent.sleep(60)


@pytest.mark.parametrize("call", [get, listing])
@pytest.mark.parametrize("trick", [hang, trickle, headers_only])
def test_a_server_that_takes_its_time_is_cut_at_the_deadline(
    call: Callable[[FakeMailClient], Any], trick: Callable[[socket.socket, bytes], None]
) -> None:
    with answering(trick) as url:
        start = time.monotonic()
        with pytest.raises(DependencyTrouble):
            call(client_of(url, limits=HURRIED))
        assert time.monotonic() - start < 2


def test_a_listing_that_may_take_minutes_is_never_the_probe_that_holds_up_all_others() -> None:
    asked: list[str] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b'{"history_id": 1}' if environ["PATH_INFO"] == "/watch" else b"[]"]

    with serving(app) as url:
        client = client_of(url)
        for number in range(5):
            client.breaker.failure(client.breaker.admit(0.0), 0.0, key=str(number))
        assert client.breaker.state(time.monotonic()) == "half-open"
        client.list_emails(0)
    assert asked == ["/watch", "/emails"]


@pytest.mark.parametrize(("pace", "comes"), [(1_000.0, True), (1_000_000.0, False)])
def test_a_long_listing_may_take_longer_while_it_comes_at_the_pace(pace: float, comes: bool) -> None:
    ids = [f"email-{number:03}" for number in range(100)]
    whole, heard = response(body=json.dumps(ids).encode()), []

    def slowly(sock: socket.socket, _head: bytes) -> None:
        for at in range(0, len(whole), 100):
            sock.sendall(whole[at : at + 100])
            gevent.sleep(0.05)

    timeouts = Timeouts(connect_s=0.2, read_s=0.2, total_s=0.3, pace=pace)
    with answering(slowly) as url:
        client = client_of(url, limits=Limits(listing=timeouts))
        if comes:
            assert list(client.list_emails(0, lambda: heard.append(1))) == ids
            assert len(heard) > 5
        else:
            with pytest.raises(DependencyTrouble, match=r"no whole answer within 0\.3 s"):
                client.list_emails(0)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "interim": (b"", b"HTTP/1.1 100 Continue\r\nX: aaaa\r\n\r\n"),
    "status": (b"HTTP/1.1 200 ", b"a"),
    "head": (b"HTTP/1.1 200 OK\r\n", b"X: aaaa\r\n"),
    "trailers": (CHUNKED + b"0\r\n", b"X: aaaa\r\n"),
    "one trailer": (CHUNKED + b"0\r\nX: ", b"a"),
    "chunk extensions": (CHUNKED, b"1;" + b"e" * 2000 + b"\r\nx\r\n"),
    "chunks of a byte": (CHUNKED, b"1\r\nx\r\n"),
    "zeros": (CHUNKED + b"0", b"0"),
}


@pytest.mark.parametrize("call", [get, listing])
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_server_that_never_stops_sending_is_cut_at_the_deadline_or_at_a_bound(
    call: Callable[[FakeMailClient], Any], flood: tuple[bytes, bytes]
) -> None:
    limits = Limits(call=QUICK, listing=QUICK, max_email_bytes=1 << 30, max_listing_bytes=1 << 30)
    with flooding(*flood) as url:
        start = time.monotonic()
        with pytest.raises(EngineError):
            call(client_of(url, limits=limits))
        assert time.monotonic() - start < 2, "time-outs come only when the hub turns"


def test_after_a_deadline_all_slots_are_free_again() -> None:
    with answering(trickle) as url:
        client = client_of(url, threshold=1000, limits=HURRIED)
        results = client.get_emails([str(number) for number in range(20)])
        assert all(isinstance(result, DependencyTrouble) for result in results)
        assert client._slots.counter == LIMITS.concurrency
        assert client._connections._idle == []


def test_a_caller_who_gives_up_leaves_no_slot_taken_and_no_greenlet_behind() -> None:
    with answering(hang) as url:
        client = client_of(url)
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
            client.get_emails([str(number) for number in range(20)])
        gevent.sleep(0)
        assert client._slots.counter == LIMITS.concurrency
        assert client.breaker.admit(time.monotonic())


# Keep-alive.


def test_connections_are_kept_and_a_closed_one_is_replaced_silently() -> None:
    connections = []

    def two_answers_and_a_close(sock: socket.socket, _head: bytes) -> None:
        connections.append(sock)
        sock.sendall(response(body=json.dumps(EMAIL).encode()))
        sock.recv(65536)
        sock.sendall(response(body=json.dumps(EMAIL).encode()))

    with answering(two_answers_and_a_close) as url:
        client = client_of(url)
        for _ in range(6):
            assert client.get_email("a") is not None
            gevent.sleep(0.005)
    assert len(connections) == 3


def test_connections_that_a_busy_time_left_over_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(numbered) as url:
        client = client_of(url)
        client.get_emails([str(number) for number in range(4, 60, 6)])
        assert len(client._connections._idle) > 1
        later = time.monotonic() + 31
        monkeypatch.setattr("fakemail.transport.time.monotonic", lambda: later)
        client.get_email("4")
        assert len(client._connections._idle) == 1


def test_a_connection_with_more_on_it_than_the_answer_is_not_used_again() -> None:
    connections = []

    def too_much(sock: socket.socket, _head: bytes) -> None:
        connections.append(sock)
        sock.sendall(response(body=json.dumps(EMAIL).encode()) + response(body=b'{"id": "smuggled"}'))
        gevent.sleep(0.1)

    with answering(too_much) as url:
        client = client_of(url)
        assert [client.get_email("a") is not None for _ in range(3)] == [True] * 3
    assert len(connections) == 3


@pytest.mark.parametrize("farewell", [response("408 Timeout"), response(body=b'{"id": "smuggled"}')])
def test_an_answer_that_comes_on_an_idle_connection_is_not_taken_for_the_next(farewell: bytes) -> None:
    connections = []
    read, said = Event(), Event()

    def talkative(sock: socket.socket, _head: bytes) -> None:
        connections.append(sock)
        sock.sendall(response(body=json.dumps(EMAIL).encode()))
        read.wait(5)
        sock.sendall(farewell)
        said.set()
        sock.recv(65536)

    with answering(talkative) as url:
        client = client_of(url)
        for _ in range(3):
            assert client.get_email("a") is not None
            read.set()
            assert said.wait(5)
            read.clear()
            said.clear()
    assert len(connections) == 3


# Many at once, and the breaker.


def numbered(sock: socket.socket, head: bytes) -> None:
    """Odd numbers fail, every third is gone, the others answer out of order."""
    while head:
        number = int(head.split(b" ")[1].rpartition(b"/")[2])
        gevent.sleep((number * 7 % 5) / 1000)
        if number % 3 == 0:
            sock.sendall(response("404 Gone"))
        elif number % 2:
            sock.sendall(response("500 Oops"))
        else:
            sock.sendall(response(body=json.dumps(EMAIL | {"id": str(number)}).encode()))
        head = sock.recv(65536)


def test_many_emails_come_back_in_order_and_none_spoils_another() -> None:
    with answering(numbered) as url:
        results = client_of(url, threshold=1000).get_emails([str(number) for number in range(60)])
    for number, result in enumerate(results):
        if number % 3 == 0:
            assert result is None
        elif number % 2:
            assert isinstance(result, DependencyTrouble)
        else:
            assert not isinstance(result, Exception)
            assert result is not None
            assert result.id == str(number)


def test_no_emails_need_no_connection() -> None:
    assert client_of("http://127.0.0.1:1").get_emails([]) == []


def test_an_open_breaker_answers_at_once_and_says_for_how_long() -> None:
    with answering(fixed(response("500 Oops"))) as url:
        client = client_of(url)
        for number in range(5):
            with pytest.raises(DependencyTrouble):
                client.get_email(str(number))
        with pytest.raises(DependencyTrouble, match="left alone") as caught:
            client.get_email("other")
        assert (caught.value.retry_after or 0) > 25
        assert client.breaker.state(time.monotonic()) == "open"


def test_one_email_of_garbage_does_not_open_the_breaker() -> None:
    with answering(fixed(response(body=b"<html>"))) as url:
        client = client_of(url)
        for _ in range(20):
            with pytest.raises(DependencyTrouble):
                client.get_email("bad")
        assert client.breaker.state(time.monotonic()) == "closed"


def test_a_dead_host_opens_the_breaker_whatever_is_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    client = client_of(f"http://127.0.0.1:{port}")
    for _ in range(5):
        with pytest.raises(DependencyTrouble):
            client.get_email("same")
    assert client.breaker.state(time.monotonic()) == "open"


def test_emails_that_are_gone_or_invalid_show_that_fakemail_is_well() -> None:
    with answering(fixed(response("422 Bad"))) as url:
        client = client_of(url)
        for number in range(20):
            with pytest.raises(Permanent):
                client.get_email(str(number))
        assert client.breaker.state(time.monotonic()) == "closed"


@pytest.mark.parametrize("ask", [lambda c: c.subscribe("http://here/webhook"), lambda c: c.classify("s", "b")])
def test_a_webhook_or_an_email_that_is_refused_says_nothing_against_fakemail(
    ask: Callable[[FakeMailClient], Any],
) -> None:
    with answering(fixed(response("422 Bad"))) as url:
        client = client_of(url)
        for _ in range(6):
            with pytest.raises(DependencyTrouble, match="status 422"):
                ask(client)
        assert client.breaker.state(time.monotonic()) == "closed"


def test_a_watch_that_is_refused_opens_the_breaker() -> None:
    with answering(fixed(response("404 Not Found"))) as url:
        client = client_of(url)
        for _ in range(5):
            with pytest.raises(DependencyTrouble):
                client.watch()
        assert client.breaker.state(time.monotonic()) == "open"


def test_the_time_limit_of_a_caller_says_nothing_of_fakemail() -> None:
    with answering(hang) as url:
        client = client_of(url, threshold=2)
        client.breaker.failure(client.breaker.admit(time.monotonic()), time.monotonic())
        with pytest.raises(HandlerTimeout), gevent.Timeout(0.05, HandlerTimeout("late", reason="fetch_failed")):
            client.watch()
        client.breaker.failure(client.breaker.admit(time.monotonic()), time.monotonic())
        with pytest.raises(Refused):
            client.breaker.admit(time.monotonic())
