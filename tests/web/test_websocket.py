"""A live WebSocket: concurrent senders, clients that are slow, silent or stuck, and the close."""

import time

import gevent
import pytest
from gevent.event import Event

from tests.servers import wait_until
from tests.web.server_clients import SocketClient, closing, echo_socket, frame, serving, websockets
from web.limits import Limits
from web.websocket import LiveSocket
from web.websocket_frames import encode_text

TEXT, PING, PONG = 1, 9, 10
QUICK = Limits(close_seconds=0.2, write_seconds=0.3, message_bytes=100, message_fragments=5, linger_seconds=0.1)


def test_an_error_of_the_application_closes_with_1011(caplog):
    def fail(live: LiveSocket) -> None:
        raise ValueError("secret")

    with serving(limits=QUICK, on_websocket=fail) as server, SocketClient(server) as client:
        assert client.close_code() == 1011
        client.send(closing(1011))
        assert client.at_end()
    assert "WebSocket failed: '/ws'" in caplog.text


def test_the_application_returning_closes_with_1000_after_what_it_sent():
    def greet(live: LiveSocket) -> None:
        live.send("hello")

    limits = Limits(close_seconds=60)
    with serving(limits=limits, on_websocket=greet) as server, SocketClient(server) as client:
        assert client.text() == "hello"
        assert client.close_code() == 1000
        assert client.send(closing(1000)).at_end()


class Room:
    """An application that keeps its sockets accessible to tests."""

    def __init__(self) -> None:
        self.sockets: list[LiveSocket] = []
        self.received: list[str] = []

    def __call__(self, live: LiveSocket) -> None:
        self.sockets.append(live)
        while (message := live.receive()) is not None:
            self.received.append(message)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 200_000])
def test_a_message_of_any_size_goes_out_whole(size):
    room = Room()
    with serving(limits=QUICK, on_websocket=room) as server, SocketClient(server) as client:
        wait_until(lambda: room.sockets)
        assert room.sockets[0].send("x" * size)
        assert client.text() == "x" * size


def test_many_greenlets_may_send_at_once():
    room = Room()
    with serving(on_websocket=room) as server, SocketClient(server) as client:
        wait_until(lambda: room.sockets)
        senders = [gevent.spawn(room.sockets[0].send, f"{i}") for i in range(200)]
        client.send(frame(PING, b"p"))
        texts: set[str] = set()
        while len(texts) < 200:
            opcode, payload = client.read_frame()
            if opcode == TEXT:
                texts.add(payload.decode())
        gevent.joinall(senders, raise_error=True)
    assert texts == {f"{i}" for i in range(200)}


def test_a_frame_is_encoded_once_for_all():
    room = Room()
    with serving(on_websocket=room) as server:
        clients = [SocketClient(server) for _ in range(20)]
        wait_until(lambda: len(room.sockets) == 20)
        encoded = encode_text(b'{"type": "email_event"}')
        assert all(live.send_encoded(encoded) for live in room.sockets)
        assert {client.text() for client in clients} == {'{"type": "email_event"}'}
        for client in clients:
            client.close()


def test_a_stuck_reader_loses_messages_is_cut_off_and_slows_nobody():
    room = Room()
    limits = Limits(write_seconds=1.5, close_seconds=0.1, outbox_frames=10, send_buffer_bytes=4096)
    with serving(limits=limits, on_websocket=room) as server:
        stuck = SocketClient(server, receive_buffer=4096)
        wait_until(lambda: room.sockets)
        reader = SocketClient(server)
        wait_until(lambda: len(room.sockets) == 2)
        encoded = encode_text("x" * 10_000)
        began = time.monotonic()
        for _ in range(40):
            assert room.sockets[1].send_encoded(encoded)
            room.sockets[0].send_encoded(encoded)
            assert len(reader.text()) == 10_000
        assert time.monotonic() - began < 1.4
        assert room.sockets[0].dropped > 0
        assert room.sockets[1].dropped == 0
        wait_until(lambda: websockets(server) == 1)
        assert room.sockets[0].closed
        assert not room.sockets[0].send("more")
        stuck.close()
        reader.close()


def test_an_outbox_is_bounded_in_bytes_too():
    room = Room()
    limits = Limits(write_seconds=0.2, close_seconds=0.1, outbox_bytes=50_000, send_buffer_bytes=4096)
    with serving(limits=limits, on_websocket=room) as server, SocketClient(server, receive_buffer=4096):
        wait_until(lambda: room.sockets)
        accepted = sum(room.sockets[0].send("x" * 20_000) for _ in range(100))
        assert accepted <= 3
        assert room.sockets[0].dropped == 100 - accepted


# liveness


def test_the_application_learns_when_the_outbox_is_empty_again():
    left = [f"{number}" for number in range(20)]

    def fill(live: LiveSocket) -> None:
        while left and live.send(left[0]):
            left.pop(0)

    def serve(live: LiveSocket) -> None:
        live.on_room = lambda: fill(live)
        fill(live)
        live.receive()

    with serving(limits=Limits(outbox_frames=3), on_websocket=serve) as server, SocketClient(server) as client:
        assert [client.text() for _ in range(20)] == [f"{number}" for number in range(20)]


def test_a_client_is_pinged_and_lives_as_long_as_it_answers():
    room = Room()
    with (
        serving(limits=Limits(ping_seconds=0.05, close_seconds=0.1), on_websocket=room) as server,
        SocketClient(server) as client,
    ):
        for _ in range(6):
            opcode, payload = client.read_frame()
            assert opcode == PING
            client.send(frame(PONG, payload))
        assert not room.sockets[0].closed


def test_a_client_that_answers_no_ping_is_cut_off():
    room = Room()
    with (
        serving(limits=Limits(ping_seconds=0.05, close_seconds=0.1), on_websocket=room) as server,
        SocketClient(server) as client,
    ):
        assert [client.read_frame()[0] for _ in range(2)] == [PING, PING]
        assert client.at_end()
        wait_until(lambda: websockets(server) == 0)


def test_a_client_is_not_cut_off_for_answers_that_the_application_has_no_time_to_read():
    """As during a replay: the greenlet that reads is the one that plays it."""
    limits, done = Limits(ping_seconds=0.2, close_seconds=0.1), Event()

    def busy(live: LiveSocket) -> None:
        done.wait(5)
        live.send("the end")
        echo_socket(live)

    with serving(limits=limits, on_websocket=busy) as server, SocketClient(server) as client:
        for _ in range(4):
            opcode, payload = client.read_frame()
            assert opcode == PING
            client.send(frame(PONG, payload))
        done.set()
        assert next_text(client) == b"the end"
        client.send(frame(TEXT, b"still there"))
        assert next_text(client) == b"still there"


def next_text(client: SocketClient) -> bytes:
    while (read := client.read_frame())[0] != TEXT:
        pass
    return read[1]


def test_a_frame_that_trickles_is_cut_off():
    limits = Limits(body_seconds=0.1, close_seconds=0.1)
    with serving(limits=limits, on_websocket=Room()) as server, SocketClient(server) as client:
        client.send(frame(TEXT, b"hello")[:-2])
        assert client.at_end()


def test_a_client_that_ignores_our_close_is_cut_off():
    room = Room()
    with serving(limits=QUICK, on_websocket=room) as server, SocketClient(server) as client:
        wait_until(lambda: room.sockets)
        room.sockets[0].close(1008, "policy")
        assert client.close_code() == 1008
        client.send(frame(TEXT, b"too late"))
        assert client.at_end()
        assert room.received == []
        assert room.sockets[0].close_code == 1008


def test_stopping_closes_websockets_with_1001_and_waits_for_their_echo():
    room = Room()
    with serving(on_websocket=room) as server, SocketClient(server) as client:
        stopping = gevent.spawn(server.shutdown, 5)
        assert client.close_code() == 1001
        client.send(closing(1001))
        assert client.at_end()
        stopping.get(timeout=1)


def test_stopping_is_over_within_its_grace_when_a_client_is_stuck():
    room = Room()
    entered = Event()

    def fill(live: LiveSocket) -> None:
        while live.send("x" * 60_000):
            pass
        entered.set()
        room(live)

    with serving(on_websocket=fill) as server, SocketClient(server, receive_buffer=4096):
        assert entered.wait(5)
        began = time.monotonic()
        server.shutdown(0.2)
        assert time.monotonic() - began < 5
