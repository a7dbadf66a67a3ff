"""The server as a client sees it: keep-alive, HEAD, errors, request ids, bodies, and shutdown."""

import json
import logging
import statistics
import threading
import time

import gevent
import pytest
from gevent.event import Event

from engine.errors import SettingsError
from engine.logs import JsonFormatter
from tests.servers import wait_until
from tests.web.server_clients import RawClient, ask, echo, get, serving
from web.limits import Limits
from web.server import serve
from web.server_body import cap_by_path
from web.server_problems import Refusal


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


def test_a_keep_alive_get_is_answered_in_about_a_millisecond(server):
    times = []
    with RawClient(server) as client:
        for _ in range(50):
            began = time.perf_counter()
            client.send(get()).answer()
            times.append(time.perf_counter() - began)
    assert statistics.median(times) < 0.005


def test_head_and_body_come_in_one_write(server):
    with RawClient(server) as client:
        data = client.send(get()).sock.recv(65536)
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert data.endswith(b"}")


def test_pipelined_requests_are_answered_in_order(server):
    requests = b"".join(get(f"/{i}") for i in range(20))
    with RawClient(server) as client:
        client.send(requests)
        assert [client.answer().json["path"] for _ in range(20)] == [f"/{i}" for i in range(20)]


def test_a_request_after_one_with_a_body_is_read_from_its_own_beginning(server):
    body = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    with RawClient(server) as client:
        client.send(body + get("/b"))
        assert client.answer().json["body"] == "hello"
        assert client.answer().json["path"] == "/b"


@pytest.mark.parametrize("line", ["Connection: close", "Connection: foo, Close"])
def test_the_connection_closes_when_the_client_asks(server, line):
    with RawClient(server) as client:
        answer = client.send(get("/", line)).answer()
        assert answer.headers["connection"] == "close"
        assert client.at_end()


def test_http_1_0_closes_after_the_answer(server):
    with RawClient(server) as client:
        answer = client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer()
        assert answer.headers["connection"] == "close"
        assert client.at_end()


def test_head_gives_the_headers_alone(server):
    with RawClient(server) as client:
        answer = client.send(get().replace(b"GET", b"HEAD")).answer(head_only=True)
        assert int(answer.headers["content-length"]) > 0
        assert client.send(get("/next")).answer().json["path"] == "/next"


def pieces(environ, start_response):
    start_response("200 OK", [])
    yield b"one "
    yield b"two"


def test_an_answer_of_unknown_length_is_chunked_and_the_connection_stays():
    with serving(pieces) as server, RawClient(server) as client:
        assert client.send(get()).answer().body == b"one two"
        client.send(get().replace(b"GET", b"HEAD")).answer(head_only=True)
        assert client.send(get()).answer().body == b"one two"


def test_an_answer_of_unknown_length_in_http_1_0_ends_with_the_connection():
    with serving(pieces) as server, RawClient(server) as client:
        assert client.send(b"GET / HTTP/1.0\r\n\r\n").answer().body == b"one two"


def test_a_large_answer_arrives_whole():
    body = bytes(range(256)) * 20000

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    with serving(app) as server:
        assert ask(server, get()).body == body


# request ids


def test_a_good_request_id_is_taken_and_echoed(server):
    answer = ask(server, get("/", "X-Request-Id: a.B-c_9"))
    assert answer.headers["x-request-id"] == answer.json["request_id"] == "a.B-c_9"


@pytest.mark.parametrize("bad", ["", "a b", "a,b", "<script>", "x" * 129, "\xfc"])
def test_a_bad_request_id_is_replaced(server, bad):
    answer = ask(server, get("/", f"X-Request-Id: {bad}"))
    assert answer.headers["x-request-id"] == answer.json["request_id"]
    assert answer.json["request_id"] not in ("", bad)


def test_every_line_that_is_logged_within_a_request_bears_its_id(caplog):
    def app(environ, start_response):
        logging.getLogger("storage").warning("slow")
        return echo(environ, start_response)

    caplog.handler.setFormatter(JsonFormatter("front"))
    with serving(app) as server, RawClient(server) as client:
        for name in ("r1", "r2"):
            client.send(get("/", f"X-Request-Id: {name}")).answer()
    assert [json.loads(line)["request_id"] for line in caplog.text.splitlines()] == ["r1", "r2"]


def test_two_requests_have_two_ids(server):
    ids = {ask(server, get()).json["request_id"] for _ in range(3)}
    assert len(ids) == 3


# errors inside the application


@pytest.mark.parametrize(
    "error",
    [ValueError("secret"), TimeoutError(), BrokenPipeError("secret"), gevent.Timeout(1), RecursionError(), OSError()],
)
def test_an_error_in_the_application_is_a_500_without_its_reason_and_one_log_record(caplog, error):
    def app(environ, start_response):
        raise error

    caplog.set_level(logging.INFO)
    caplog.handler.setFormatter(JsonFormatter("front"))
    with serving(app) as server:
        answer = ask(server, get("/boom", "X-Request-Id: r1"))
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["request_id"] == "r1"
    assert b"secret" not in answer.body
    assert b"Traceback" not in answer.body
    (record,) = caplog.records
    assert (json.loads(caplog.text)["request_id"], record.exc_info[1]) == ("r1", error)


def test_an_error_after_the_first_bytes_breaks_the_answer_off(caplog):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"half"
        raise ValueError

    with serving(app) as server, RawClient(server) as client:
        client.send(get())
        rest = client.stream.read()
    assert b"half" in rest
    assert not rest.endswith(b"0\r\n\r\n")


def test_header_injection_by_the_application_is_a_500(caplog):
    def app(environ, start_response):
        start_response("200 OK", [("X-Name", "a\r\nSet-Cookie: b")])
        return [b""]

    with serving(app) as server:
        answer = ask(server, get())
    assert (answer.status, "set-cookie" in answer.headers) == (500, False)


def test_a_request_leaves_no_line_in_the_log(caplog):
    caplog.set_level(logging.INFO)
    with serving() as server:
        ask(server, get())
    assert not caplog.records


# bodies


def post(path: str, size: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode() + b"x" * size


def test_the_cap_depends_on_the_path():
    cap = cap_by_path(1000, {"/webhook": 10, "/simulator/send_batch": 5000})
    with serving(body_cap=cap) as server:
        asked = [
            ("/", 1000),
            ("/webhook", 11),
            ("/webhook/main", 11),
            ("/webhooks", 11),
            ("/simulator/send_batch", 5000),
        ]
        assert [ask(server, post(path, size)).status for path, size in asked] == [200, 413, 413, 200, 200]


def test_a_client_that_sends_on_sees_the_413():
    with serving(limits=Limits(body_bytes=1000)) as server, RawClient(server) as client:
        answer = client.send(post("/", 500_000)).answer()
    assert (answer.status, answer.json["instance"]) == (413, "/")


def test_the_413_names_the_path_as_it_was_requested():
    with serving(limits=Limits(body_bytes=10)) as server:
        assert ask(server, post("/emails/%2F%FF/label?a=b", 11)).json["instance"] == "/emails/%2F%FF/label"


def test_large_bodies_in_hand_together_are_bounded():
    entered, leave = Event(), Event()

    def app(environ, start_response):
        entered.set()
        leave.wait(5)
        return echo(environ, start_response)

    with serving(app, Limits(all_bodies_bytes=1000, small_body_bytes=100)) as server, RawClient(server) as first:
        first.send(post("/", 800))
        assert entered.wait(5)
        answer = ask(server, post("/", 800))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        leave.set()
        assert first.answer().status == 200
        assert ask(server, post("/", 800)).status == 200


def test_small_bodies_are_taken_whatever_large_ones_are_on_their_way():
    with serving(limits=Limits(all_bodies_bytes=1000, small_body_bytes=100)) as server, RawClient(server) as slow:
        slow.send(post("/", 1000)[:-999])
        chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
        wait_until(lambda: ask(server, post("/", 101)).status == 503)
        assert ask(server, post("/", 100)).status == 200
        assert ask(server, chunked).status == 503


def test_a_cap_that_refuses_does_so_before_the_body_is_read():
    def cap(_environ):
        raise Refusal(401, "who are you", (("WWW-Authenticate", "Bearer"),))

    with serving(body_cap=cap) as server, RawClient(server) as client:
        answer = client.send(post("/", 1000)[:-999]).answer()
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


# starting and stopping


def test_a_port_in_use_is_one_clear_line(server):
    with pytest.raises(
        SettingsError, match=rf"HOST, PORT: cannot listen on 127.0.0.1:{server.port}: address already in use"
    ):
        serve(echo, "127.0.0.1", server.port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_ours_is_one_clear_line(host):
    with pytest.raises(SettingsError, match=f"cannot listen on {host}:0: "):
        serve(echo, host, 0)


def test_stopping_hangs_up_on_idle_connections_at_once():
    with serving() as server, RawClient(server) as idle, RawClient(server) as silent:
        idle.send(get()).answer()
        began = time.monotonic()
        server.shutdown(20)
        assert time.monotonic() - began < 10
        assert idle.at_end()
        assert silent.at_end()


def test_stopping_lets_a_running_request_finish_and_takes_no_new_ones():
    entered, leave = Event(), Event()

    def app(environ, start_response):
        entered.set()
        leave.wait(5)
        return echo(environ, start_response)

    with serving(app) as server, RawClient(server) as client:
        client.send(get())
        assert entered.wait(5)
        stopping = gevent.spawn(server.shutdown, 5)
        gevent.sleep(0.01)
        with pytest.raises(ConnectionRefusedError):
            RawClient(server)
        leave.set()
        assert client.answer().headers["connection"] == "close"
        assert client.at_end()
        stopping.get(timeout=2)


def test_stopping_is_over_within_its_grace_whatever_a_request_does(caplog):
    entered = Event()

    def app(environ, start_response):
        entered.set()
        gevent.sleep(60)

    with serving(app) as server, RawClient(server) as client:
        client.send(get())
        assert entered.wait(5)
        began = time.monotonic()
        server.shutdown(0.2)
        assert time.monotonic() - began < 5
        assert client.at_end()
    assert "still busy" in caplog.text


def test_a_thread_of_the_test_may_be_the_client(server):
    """The server runs on the hub: a client in a (patched) thread gets its answer as well."""
    seen = []
    thread = threading.Thread(target=lambda: seen.append(ask(server, get()).status))
    thread.start()
    thread.join(5)
    assert seen == [200]
