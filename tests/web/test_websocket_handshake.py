"""Which handshakes become a WebSocket, and how the others are answered."""

import pytest

from tests.web.server_clients import SocketClient, ask, echo_socket, get, handshake, serving
from web.limits import Limits
from web.problems import Problem
from web.server_problems import retry_after

QUICK = Limits(close_seconds=0.2, linger_seconds=0.1)


@pytest.fixture(scope="module")
def server():
    with serving(limits=QUICK, on_websocket=echo_socket) as running:
        yield running


HANDSHAKES = {
    "no version": (426, handshake(Sec_WebSocket_Version=None)),
    "an old version": (426, handshake(Sec_WebSocket_Version="8")),
    "no key": (400, handshake(Sec_WebSocket_Key=None)),
    "a key that is no base64": (400, handshake(Sec_WebSocket_Key="not base64!")),
    "a key of 15 bytes": (400, handshake(Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAA")),
    "a key with letters of elsewhere": (400, handshake(Sec_WebSocket_Key="\xfc" * 24)),
    "two keys": (400, handshake().replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")),
    "no Connection: Upgrade": (400, handshake(Connection="keep-alive")),
    "HTTP/1.0": (400, handshake().replace(b"HTTP/1.1", b"HTTP/1.0")),
    "a body": (400, handshake(Content_Length="5") + b"hello"),
    "a chunked body": (400, handshake(Transfer_Encoding="chunked") + b"0\r\n\r\n"),
    "a POST": (400, handshake().replace(b"GET", b"POST")),
}


@pytest.mark.parametrize("name", HANDSHAKES)
def test_a_wrong_handshake_is_a_problem(server, name):
    status, request = HANDSHAKES[name]
    answer = ask(server, request)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    if status == 426:
        assert answer.headers["sec-websocket-version"] == "13"


def test_the_accept_header_is_the_one_of_the_standard(server):
    answer = ask(server, handshake(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==", Connection="keep-alive, Upgrade"))
    assert answer.status == 101
    assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert "content-length" not in answer.headers
    assert "sec-websocket-extensions" not in answer.headers


def test_compression_that_is_offered_is_not_taken(server):
    assert (
        "sec-websocket-extensions" not in ask(server, handshake(Sec_WebSocket_Extensions="permessage-deflate")).headers
    )


def test_the_application_decides_who_may_connect():
    def authorize(environ):
        if "HTTP_ORIGIN" not in environ:
            raise Problem(403, "no Origin")
        if environ["HTTP_ORIGIN"] != "http://good":
            raise Problem(401, "log in first")

    with serving(limits=QUICK, on_websocket=echo_socket, authorize_websocket=authorize) as server:
        refused = ask(server, handshake())
        assert (refused.status, refused.json["detail"]) == (403, "no Origin")
        assert ask(server, handshake(Origin="http://evil")).headers["www-authenticate"] == "Bearer"
        assert ask(server, handshake(Origin="http://good")).status == 101


def test_a_refusal_of_the_application_comes_as_it_is():
    def authorize(_environ):
        raise Problem(429, "too many calls", headers=(retry_after(7),), reason="a flood")

    with serving(limits=QUICK, on_websocket=echo_socket, authorize_websocket=authorize) as server:
        refused = ask(server, handshake())
    assert (refused.status, refused.headers["retry-after"], refused.json["reason"]) == (429, "7", "a flood")


def test_without_a_taker_an_upgrade_is_an_ordinary_request():
    with serving() as server:
        answer = ask(server, handshake("/ws"))
    assert (answer.status, answer.json["path"], answer.json["body"]) == (200, "/ws", "")


def test_websockets_have_places_of_their_own():
    limits = Limits(connections=1, reserve=0, websockets=2, close_seconds=0.2, retry_after_seconds=7)
    with serving(limits=limits, on_websocket=echo_socket) as server:
        clients = [SocketClient(server), SocketClient(server)]
        refused = ask(server, handshake())
        assert (refused.status, refused.headers["retry-after"]) == (503, "7")
        assert ask(server, get()).status == 200
        for client in clients:
            client.close()
