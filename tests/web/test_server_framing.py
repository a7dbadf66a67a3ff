"""The raw-bytes table of HTTP framing: each entry is sent unchanged, and has exactly one answer."""

import io

import pytest

from tests.web.server_clients import RawClient, ask, get, serving
from web.framing import read_head
from web.limits import Limits

CAP = 1000


@pytest.fixture(scope="module")
def server():
    with serving(limits=Limits(body_bytes=CAP, linger_seconds=0.2)) as running:
        yield running


def post(headers: bytes, body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n" + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body)


ACCEPTED = {
    "the least there is": get(),
    "an empty line before": b"\r\n" + get(),
    "HTTP/1.0 without Host": b"GET / HTTP/1.0\r\n\r\n",
    "a later minor version": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "a value of nothing": get("/", "X-Empty:"),
    "tabs around a value": get("/", "X-Tab:\t1\t"),
    "latin-1 in a value": get("/", "X-Name: J\xfcrg"),
    "raw UTF-8 in the path": "GET /f\u00fcr HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "a port in Host": b"GET / HTTP/1.1\r\nHost: [::1]:8005\r\n\r\n",
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute form": b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a length of 0": post(b"Content-Length: 0"),
    "leading zeros": post(b"Content-Length: 0005", b"hello"),
    "a body at the cap": post(b"Content-Length: %d" % CAP, b"x" * CAP),
    "chunks": chunked(b"5\r\nhello\r\n0\r\n\r\n"),
    "Chunked in capitals": post(b"Transfer-Encoding: CHUNKED", b"5\r\nhello\r\n0\r\n\r\n"),
    "no chunks": chunked(b"0\r\n\r\n"),
    "chunk extensions": chunked(b'5;a=1;b="2"\r\nhello\r\n0;z\r\n\r\n'),
    "trailers": chunked(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"),
    "chunks up to the cap": chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (CAP, b"x" * CAP)),
}

REFUSED = {
    "two lengths": (400, post(b"Content-Length: 5\r\nContent-Length: 5", b"hello")),
    "two different lengths": (400, post(b"Content-Length: 5\r\nContent-Length: 6", b"hello")),
    "a list of lengths": (400, post(b"Content-Length: 5, 5", b"hello")),
    "a signed length": (400, post(b"Content-Length: +5", b"hello")),
    "a negative length": (400, post(b"Content-Length: -5")),
    "an underscore in a length": (400, post(b"Content-Length: 1_0", b"helloworld")),
    "a hexadecimal length": (400, post(b"Content-Length: 0x5", b"hello")),
    "a decimal length": (400, post(b"Content-Length: 5.0", b"hello")),
    "an empty length": (400, post(b"Content-Length:", b"hello")),
    "a superscript length": (400, post(b"Content-Length: \xb2", b"hello")),
    "an arabic length": (400, post("Content-Length: \u0665".encode(), b"hello")),
    "a length of 19 digits": (400, post(b"Content-Length: 1000000000000000000")),
    "length and chunks": (400, post(b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"0\r\n\r\n")),
    "chunks and length": (400, post(b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"0\r\n\r\n")),
    "xchunked": (400, post(b"Transfer-Encoding: xchunked", b"0\r\n\r\n")),
    "chunked twice": (400, post(b"Transfer-Encoding: chunked, chunked", b"0\r\n\r\n")),
    "two codings": (400, post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"0\r\n\r\n")),
    "gzip, chunked": (400, post(b"Transfer-Encoding: gzip, chunked", b"0\r\n\r\n")),
    "identity": (400, post(b"Transfer-Encoding: identity", b"hello")),
    "an empty coding": (400, post(b"Transfer-Encoding:", b"0\r\n\r\n")),
    "a quoted coding": (400, post(b'Transfer-Encoding: "chunked"', b"0\r\n\r\n")),
    "a vertical tab before chunked": (400, post(b"Transfer-Encoding: \x0bchunked", b"0\r\n\r\n")),
    "chunks in HTTP/1.0": (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "bare LF after the request line": (400, b"GET / HTTP/1.1\nHost: x\r\n\r\n"),
    "bare LF after a header": (400, b"GET / HTTP/1.1\r\nHost: x\nX: 1\r\n\r\n"),
    "bare LF at the end": (400, b"GET / HTTP/1.1\r\nHost: x\r\n\n"),
    "bare CR in a value": (400, b"GET / HTTP/1.1\r\nHost: x\r\nX: 1\rY: 2\r\n\r\n"),
    "CR CR LF": (400, b"GET / HTTP/1.1\r\nHost: x\r\nX: 1\r\r\n\r\n"),
    "NUL in a value": (400, b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n"),
    "NUL in a name": (400, b"GET / HTTP/1.1\r\nHost: x\r\nX\0: 1\r\n\r\n"),
    "a control character": (400, b"GET / HTTP/1.1\r\nHost: x\r\nX: \x1b[31m\r\n\r\n"),
    "a space before the colon": (400, b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
    "a tab before the colon": (400, b"GET / HTTP/1.1\r\nHost\t: x\r\n\r\n"),
    "a folded header": (400, b"GET / HTTP/1.1\r\nHost: x\r\nX: 1\r\n 2\r\n\r\n"),
    "a fold at once": (400, b"GET / HTTP/1.1\r\n X: 1\r\nHost: x\r\n\r\n"),
    "no colon": (400, b"GET / HTTP/1.1\r\nHost: x\r\nnothing\r\n\r\n"),
    "no name": (400, b"GET / HTTP/1.1\r\nHost: x\r\n: 1\r\n\r\n"),
    "a name in UTF-8": (400, "GET / HTTP/1.1\r\nHost: x\r\nN\u00e4me: 1\r\n\r\n".encode()),
    "no Host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two Hosts": (400, b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
    "a Host with a path": (400, b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n"),
    "a Host with a user": (400, b"GET / HTTP/1.1\r\nHost: x@y\r\n\r\n"),
    "a Host with two ports": (400, b"GET / HTTP/1.1\r\nHost: localhost:80:evil\r\n\r\n"),
    "a Host with a word for a port": (400, b"GET / HTTP/1.1\r\nHost: localhost:http\r\n\r\n"),
    "a Host with a name after its brackets": (400, b"GET / HTTP/1.1\r\nHost: [::1]evil.example\r\n\r\n"),
    "two Hosts in one": (400, b"GET / HTTP/1.1\r\nHost: localhost, evil.example\r\n\r\n"),
    "an absolute form with two ports": (400, b"GET http://localhost:80:x/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    "an absolute form with a user": (400, b"GET http://x@y/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    "two Authorizations": (400, get("/", "Authorization: Bearer a", "Authorization: Bearer b")),
    "HTTP/0.9": (400, b"GET /\r\n\r\n"),
    "two spaces": (400, b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a tab in the request line": (400, b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a space at the end": (400, b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n"),
    "a space in the target": (400, b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"),
    "NUL in the target": (400, b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "http in small letters": (400, b"GET / http/1.1\r\nHost: x\r\n\r\n"),
    "a long version": (400, b"GET / HTTP/1.10\r\nHost: x\r\n\r\n"),
    "a method with a colon": (400, b"GE:T / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a target without a slash": (400, b"GET x HTTP/1.1\r\nHost: x\r\n\r\n"),
    "CONNECT": (400, b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "HTTP/2": (505, b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
    "a long request line": (414, get("/" + "a" * 9000)),
    "a request line without end": (414, b"G" * 9000),
    "one header of 33 KiB": (431, get("/", "X: " + "a" * 33000)),
    "many large headers": (431, get("/", *(f"X-{i}: {'a' * 600}" for i in range(95)))),
    "101 headers": (431, get("/", *(f"X-{i}: 1" for i in range(101)))),
    "an unknown expectation": (417, post(b"Content-Length: 5\r\nExpect: a-miracle", b"hello")),
    "a body over the cap": (413, post(b"Content-Length: 1001", b"x" * 1001)),
    "a body far over the cap": (413, post(b"Content-Length: 100000000", b"x" * 5000)),
    "chunks over the cap": (413, chunked(b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n")),
    "a chunk size that is no number": (400, chunked(b"z\r\nhello\r\n0\r\n\r\n")),
    "an empty chunk size": (400, chunked(b"\r\nhello\r\n0\r\n\r\n")),
    "a signed chunk size": (400, chunked(b"+5\r\nhello\r\n0\r\n\r\n")),
    "a prefixed chunk size": (400, chunked(b"0x5\r\nhello\r\n0\r\n\r\n")),
    "an underscore in a chunk size": (400, chunked(b"1_0\r\nhello\r\n0\r\n\r\n")),
    "a space before a chunk size": (400, chunked(b" 5\r\nhello\r\n0\r\n\r\n")),
    "a chunk size of 2^64": (400, chunked(b"10000000000000000\r\n")),
    "bare LF after a chunk size": (400, chunked(b"5\nhello\r\n0\r\n\r\n")),
    "bare LF in a chunk extension": (400, chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n")),
    "bare LF after a chunk": (400, chunked(b"5\r\nhello\n0\r\n\r\n")),
    "a chunk longer than it says": (400, chunked(b"4\r\nhello\r\n0\r\n\r\n")),
    "a trailer with a space before the colon": (400, chunked(b"0\r\nX : 1\r\n\r\n")),
    "a CR in a chunk extension": (400, chunked(b"5;\ra\r\nhello\r\n0\r\n\r\n")),
    "33 trailers": (400, chunked(b"0\r\n" + b"X: 1\r\n" * 33 + b"\r\n")),
    "a folded trailer": (400, chunked(b"0\r\nX: 1\r\n 2\r\n\r\n")),
    "bare LF after the trailers": (400, chunked(b"0\r\n\n")),
}

CUT_SHORT = {
    "within a header": get()[:-6],
    "within the body": post(b"Content-Length: 10", b"hello"),
    "within a chunk": chunked(b"5\r\nhe"),
    "after a chunk": chunked(b"5\r\nhello\r\n"),
    "within the trailers": chunked(b"0\r\nX: 1\r\n"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_correct_request_is_answered(server, name):
    assert ask(server, ACCEPTED[name]).status == 200


@pytest.mark.parametrize(
    ("raw", "target"),
    [
        ("/f\u00fcr?q=gr\u00f6\u00dfe".encode(), "/f%C3%BCr?q=gr%C3%B6%C3%9Fe"),
        (b"/results/u\xff1", "/results/u%FF1"),
        (b"/a%20b?c=%C3%BC", "/a%20b?c=%C3%BC"),
    ],
)
def test_raw_bytes_of_a_target_are_percent_encoded(raw, target):
    head = read_head(io.BytesIO(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % raw), Limits())
    assert head is not None
    assert head.target == target


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_could_be_read_in_two_ways_is_refused_and_the_connection_closed(server, name):
    status, request = REFUSED[name]
    with RawClient(server) as client:
        answer = client.send(request).answer()
        assert answer.status == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["connection"] == "close"
        assert answer.json["status"] == status
        assert answer.json["request_id"] == answer.headers["x-request-id"]
        assert client.at_end()


@pytest.mark.parametrize("name", CUT_SHORT)
def test_a_request_cut_short_is_a_bad_request(server, name):
    assert ask(server, CUT_SHORT[name], end=True).status == 400


def test_nothing_after_a_refused_request_is_served(server):
    with RawClient(server) as client:
        client.send(post(b"Content-Length: 5\r\nContent-Length: 6", b"hello") + get("/smuggled"))
        assert client.answer().status == 400
        assert client.at_end()


def test_a_chunked_body_arrives_whole_with_its_length_and_without_its_coding(server):
    seen = ask(server, chunked(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")).json
    assert seen["body"] == "hello world"
    assert seen["content_length"] == "11"
    assert seen["transfer_encoding"] is None


def test_an_absolute_target_names_the_host(server):
    seen = ask(server, b"GET http://other:80/a?b=c HTTP/1.1\r\nHost: x\r\n\r\n").json
    assert (seen["host"], seen["path"], seen["query"]) == ("other:80", "/a", "b=c")


def test_the_raw_target_keeps_an_encoded_slash(server):
    seen = ask(server, get("/emails/a%2Fb")).json
    assert (seen["path"], seen["raw_uri"]) == ("/emails/a/b", "/emails/a%2Fb")


def test_repeated_headers_are_joined_and_names_with_underscores_dropped(server):
    seen = ask(server, get("/", "Accept: a", "Accept: b", "Cookie: c=1", "Cookie: d=2", "Content_Length: 7")).json
    assert (seen["accept"], seen["cookie"], seen["content_length"]) == ("a,b", "c=1; d=2", None)


def test_continue_is_sent_only_when_the_body_is_wanted(server):
    with RawClient(server) as client:
        client.send(post(b"Content-Length: 5\r\nExpect: 100-continue"))
        assert client.answer().status == 100
        assert client.send(b"hello").answer().json["body"] == "hello"
        client.send(post(b"Content-Length: 5000\r\nExpect: 100-continue"))
        assert client.answer().status == 413
        assert client.at_end()
