"""The raw-frame table of WebSockets: frames sent unchanged, and the answer or close code for each."""

import gc
import socket
import struct

import pytest

from tests.servers import wait_until
from tests.web.server_clients import (
    RawClient,
    SocketClient,
    closing,
    echo_socket,
    frame,
    handshake,
    serving,
    websockets,
)
from web.limits import Limits
from web.websocket import LiveSocket
from web.websocket_frames import encode_text

TEXT, BINARY, CLOSE, PING, PONG, MORE = 1, 2, 8, 9, 10, 0
QUICK = Limits(close_seconds=0.2, write_seconds=0.3, message_bytes=100, message_fragments=5, linger_seconds=0.1)


@pytest.fixture(scope="module")
def server():
    with serving(limits=QUICK, on_websocket=echo_socket) as running:
        yield running


ANSWERED = {
    "a text": (frame(TEXT, b"hello"), "hello"),
    "an empty text": (frame(TEXT), ""),
    "a text at the limit": (frame(TEXT, b"x" * 100), "x" * 100),
    "UTF-8": (frame(TEXT, "gr\u00fc\u00df \U0001f600".encode()), "gr\u00fc\u00df \U0001f600"),
    "a binary message that is text": (frame(BINARY, b"hello"), "hello"),
    "a binary message that is none": (frame(BINARY, b"a\xff"), "a\ufffd"),
    "fragments": (frame(TEXT, b"hel", final=False) + frame(MORE, b"lo"), "hello"),
    "a character in two fragments": (frame(TEXT, b"\xc3", final=False) + frame(MORE, b"\xbc"), "\u00fc"),
    "empty fragments": (frame(TEXT, final=False) + frame(MORE, final=False) + frame(MORE, b"x"), "x"),
    "a pong nobody asked for": (frame(PONG, b"?") + frame(TEXT, b"x"), "x"),
    "a mask of zeros": (frame(TEXT, b"hello", mask=b"\0\0\0\0"), "hello"),
}

CLOSED = {
    "an unmasked text": (1002, frame(TEXT, b"hello", mask=None)),
    "an unmasked ping": (1002, frame(PING, mask=None)),
    "RSV1": (1002, frame(TEXT, b"hello", rsv=0x40)),
    "RSV2": (1002, frame(TEXT, b"hello", rsv=0x20)),
    "RSV3 on a ping": (1002, frame(PING, rsv=0x10)),
    "opcode 3": (1002, frame(3, b"hello")),
    "opcode 11": (1002, frame(11)),
    "a fragmented ping": (1002, frame(PING, b"x", final=False)),
    "a ping of 126 bytes": (1002, frame(PING, b"x" * 126)),
    "a close of 126 bytes": (1002, closing(1000, b"x" * 124)),
    "a continuation of nothing": (1002, frame(MORE, b"x")),
    "a text within a message": (1002, frame(TEXT, b"x", final=False) + frame(TEXT, b"y")),
    "bad UTF-8": (1007, frame(TEXT, b"\xff")),
    "a surrogate": (1007, frame(TEXT, b"\xed\xa0\x80")),
    "UTF-8 cut short": (1007, frame(TEXT, b"\xc3")),
    "bad UTF-8 over fragments": (1007, frame(TEXT, b"\xc3", final=False) + frame(MORE, b"\xc3")),
    "one byte too many": (1009, frame(TEXT, b"x" * 101)),
    "a header that says 64 KiB": (1009, b"\x81\xfe\xff\xff\1\2\3\4"),
    "a header that says 2^31": (1009, b"\x81\xff" + struct.pack("!Q", 2**31) + b"\1\2\3\4"),
    "a header that says 2^63": (1009, b"\x82\xff" + struct.pack("!Q", 2**63) + b"\1\2\3\4"),
    "fragments that add up": (1009, frame(TEXT, b"x" * 60, final=False) + frame(MORE, b"x" * 41)),
    "endless empty fragments": (1009, frame(TEXT, final=False) + frame(MORE, final=False) * 5),
    "a close": (1000, closing(1000)),
    "a close with a reason": (1001, closing(1001, b"bye")),
    "a close of an application": (4999, closing(4999)),
    "a close without a code": (None, frame(CLOSE)),
    "half a close code": (1002, frame(CLOSE, b"\3")),
    "close code 0": (1002, closing(0)),
    "close code 999": (1002, closing(999)),
    "close code 1004": (1002, closing(1004)),
    "close code 1005": (1002, closing(1005)),
    "close code 1006": (1002, closing(1006)),
    "close code 1015": (1002, closing(1015)),
    "close code 2000": (1002, closing(2000)),
    "close code 5000": (1002, closing(5000)),
    "a close with bad UTF-8": (1007, closing(1000, b"\xff")),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_a_correct_message_arrives(server, name):
    sent, expected = ANSWERED[name]
    with SocketClient(server) as client:
        assert client.send(sent).text() == expected


@pytest.mark.parametrize("name", CLOSED)
def test_what_breaks_the_protocol_is_closed_with_its_code_and_what_ends_it_with_an_echo(server, name):
    code, sent = CLOSED[name]
    with SocketClient(server) as client:
        assert client.send(sent).close_code() == code
        assert client.at_end()


def test_a_message_before_the_broken_one_is_still_answered(server):
    with SocketClient(server) as client:
        client.send(frame(TEXT, b"first") + frame(TEXT, b"\xff"))
        assert client.text() == "first"
        assert client.close_code() == 1007


def test_pings_are_answered_in_order_also_within_a_message(server):
    with SocketClient(server) as client:
        client.send(frame(TEXT, b"a", final=False) + frame(PING, b"1") + frame(PING, b"2") + frame(MORE, b"b"))
        seen = [client.read_frame() for _ in range(3)]
        assert [payload for opcode, payload in seen if opcode == PONG] == [b"1", b"2"]
        assert (TEXT, b"ab") in seen


def test_frames_sent_with_the_handshake_are_not_lost(server):
    with RawClient(server) as client:
        client.send(handshake() + frame(TEXT, b"early"))
        assert client.answer().status == 101
        assert client.stream.read(7) == encode_text("early")


def test_a_client_that_vanishes_leaves_nothing_behind(server):
    for _ in range(20):
        client = SocketClient(server)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    wait_until(lambda: websockets(server) == 0)
    assert not server._handlers
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is LiveSocket]
