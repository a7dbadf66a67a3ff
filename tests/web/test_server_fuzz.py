"""The server's parsers on arbitrary bytes: an answer or a refusal, never anything else."""

import io
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.web.server_clients import closing, frame
from web.framing import Head, read_head
from web.limits import Limits
from web.server_body import RequestBody
from web.server_problems import Refusal
from web.websocket_frames import FrameError, decode_utf8, encode_close, parse_close, read_frame, unmask

LIMITS = Limits(request_line_bytes=200, header_bytes=400, header_count=5)
QUICK = settings(max_examples=150)

NASTY = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"0", b"5", b"f", b";", b"chunked", b"\xff", b"/"]
)
NAMES = st.sampled_from([b"Host", b"Content-Length", b"Transfer-Encoding", b"X-Y", b"Cookie", b"Connection"])
LINES = st.builds(lambda name, parts: name + b": " + b"".join(parts) + b"\r\n", NAMES, st.lists(NASTY, max_size=4))
HEADS = st.builds(
    lambda start, lines, rest: start + b"".join(lines) + b"\r\n" + rest,
    st.sampled_from([b"GET / HTTP/1.1\r\n", b"POST http://x HTTP/1.1\r\n", b"\r\nGET /%00 HTTP/1.0\r\n"]),
    st.lists(LINES, max_size=7),
    st.binary(max_size=20),
)
SOUP = st.lists(st.one_of(NASTY, st.binary(max_size=5)), max_size=30).map(b"".join)


def attempt(call: Callable[[], Any], *expected: type[Exception]) -> Any:
    """Return the result of `call`, or the expected exception that it raises."""
    try:
        return call()
    except expected as error:
        return error


@QUICK
@given(st.one_of(SOUP, HEADS, st.binary(max_size=600)))
def test_a_head_is_read_or_refused(data):
    head = attempt(lambda: read_head(io.BytesIO(data), LIMITS), Refusal)
    if isinstance(head, Refusal):
        assert head.status in (400, 414, 431, 505)
    else:
        assert head is None or head_is_safe(head)


def head_is_safe(head: Head) -> bool:
    text = "".join([head.target, *head.fields, *head.fields.values()])
    assert head.length is None or head.length >= 0
    return not set(text) & set("\r\n\0")


@QUICK
@given(SOUP, st.one_of(st.none(), st.integers(0, 50)))
def test_a_body_is_read_or_refused(data, length):
    body = RequestBody(io.BytesIO(data), length)
    read = attempt(body.read, Refusal)
    if isinstance(read, Refusal):
        assert read.status == 400
    else:
        assert body.exhausted
        assert length is None or read == data[:length]


@QUICK
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.integers(1, 60), st.binary(max_size=10))
def test_chunks_come_together_and_the_stream_stands_behind_them(chunks, step, rest):
    wire = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n" + rest
    stream = io.BytesIO(wire)
    body = RequestBody(stream, None)
    read = b""
    while part := body.read(step):
        read += part
    assert (read, stream.read()) == (b"".join(chunks), rest)


@QUICK
@given(st.binary(max_size=200))
def test_a_frame_is_read_or_refused(data):
    read = attempt(lambda: read_frame(io.BytesIO(data), 100), EOFError, FrameError)
    if isinstance(read, FrameError):
        assert read.code in (1002, 1009)
    elif not isinstance(read, EOFError):
        assert len(read.payload) <= 125


@QUICK
@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4), st.booleans())
def test_a_frame_comes_out_as_it_went_in(payload, mask, final):
    read = read_frame(io.BytesIO(frame(1, payload, final=final, mask=mask)), 300)
    assert (read.opcode, read.final, read.payload) == (1, final, payload)
    assert unmask(unmask(payload, mask), mask) == payload


@QUICK
@given(st.binary(max_size=125))
def test_a_close_payload_is_read_or_refused(payload):
    code = attempt(lambda: parse_close(payload), FrameError)
    if isinstance(code, FrameError):
        assert code.code in (1002, 1007)
    else:
        assert code is None or 1000 <= code <= 4999


@QUICK
@given(st.integers(1000, 1003), st.text(max_size=200))
def test_a_reason_is_cut_to_whole_characters(code, reason):
    built = encode_close(code, reason)
    assert built[1] <= 125
    assert reason.encode("utf-8", "ignore").startswith(decode_utf8(built[4:]).encode())
    assert closing(code)[0] == built[0]
