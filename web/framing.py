"""The head of an HTTP/1.1 request, parsed strictly: what two parsers could understand differently is refused.

web/server_handler.py calls `read_head` for each request and gets a `Head`, whose `fields` are WSGI environ entries. It
needs nothing but a buffered stream; a request that breaks the rules raises `Refusal`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from web.limits import Limits
from web.server_problems import Refusal

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([^\x00-\x20\x7f]+) HTTP/([0-9])\.([0-9])\r\n")
FIELD_LINE = re.compile(rb"(" + TOKEN + rb"):([^\x00-\x08\x0a-\x1f\x7f]*)\r\n")
HOST = re.compile(r"(?:[A-Za-z0-9._~%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
NOT_ASCII = re.compile(rb"[\x80-\xff]")
ABSOLUTE = re.compile(r"https?://([^/?]+)(.*)", re.IGNORECASE)
LENGTH = re.compile(r"[0-9]{1,18}")
ONLY_ONCE = {"CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_HOST", "HTTP_TRANSFER_ENCODING", "HTTP_AUTHORIZATION"}
UNPREFIXED = {"CONTENT_LENGTH", "CONTENT_TYPE"}


@dataclass(slots=True)
class Head:
    """The head of one request. `length` is None if the body is chunked; `keep_alive` is what the client wants."""

    method: str
    target: str
    version: str
    fields: dict[str, str]
    length: int | None = 0
    keep_alive: bool = True


def read_head(stream: BinaryIO, limits: Limits) -> Head | None:
    """Read one head; None if the stream ends before its first byte. Raises Refusal, and OSError from the stream."""
    line = stream.readline(limits.request_line_bytes + 1)
    if line == b"\r\n":  # an old client may send an extra CRLF after its last body
        line = stream.readline(limits.request_line_bytes + 1)
    if not line:
        return None
    if len(line) > limits.request_line_bytes:
        raise Refusal(414, f"the request line is longer than {limits.request_line_bytes} bytes")
    head = _request_line(line)
    _read_fields(stream, head.fields, limits)
    _check_host(head)
    head.length = _body_length(head)
    head.keep_alive = head.version == "HTTP/1.1" and "close" not in tokens(head.fields.get("HTTP_CONNECTION", ""))
    return head


def tokens(value: str) -> set[str]:
    """Return the members of a comma-separated header value, in lower case."""
    return {part.strip().lower() for part in value.split(",")}


def path_info(path: str) -> str:
    """Return PATH_INFO as WSGI requires it: percent-decoded, one character for each byte."""
    return unquote_to_bytes(path.encode("latin-1")).decode("latin-1") if "%" in path else path


def _request_line(line: bytes) -> Head:
    match = REQUEST_LINE.fullmatch(line)
    if match is None:
        raise Refusal(400, "the request line is malformed")
    method, target, major, minor = (_ascii(part) for part in match.groups())
    if major != "1":
        raise Refusal(505, "only HTTP/1.0 and HTTP/1.1 are supported")
    version = "HTTP/1.0" if minor == "0" else "HTTP/1.1"
    if not target.startswith("/") and not (target == "*" and method == "OPTIONS") and not ABSOLUTE.fullmatch(target):
        raise Refusal(400, "the request target is malformed")
    return Head(method, target, version, {})


def _ascii(part: bytes) -> str:
    """Percent-encode raw bytes, as the client should have: later code sees one spelling, and refuses invalid UTF-8."""
    if not part.isascii():
        part = NOT_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], part)
    return part.decode("ascii")


def _read_fields(stream: BinaryIO, fields: dict[str, str], limits: Limits) -> None:
    budget = limits.header_bytes
    for _ in range(limits.header_count + 1):
        line = stream.readline(budget + 1)
        if line == b"\r\n":
            return
        budget -= len(line)
        if budget < 0:
            raise Refusal(431, f"the headers are larger than {limits.header_bytes} bytes")
        match = FIELD_LINE.fullmatch(line)
        if match is None:
            raise Refusal(400, "a header line is malformed")
        _add_field(fields, match[1], match[2])
    raise Refusal(431, f"there are more than {limits.header_count} headers")


def _add_field(fields: dict[str, str], name: bytes, raw: bytes) -> None:
    key = _environ_key(name)
    if key is None:
        return
    value = raw.strip(b" \t").decode("latin-1")
    if key not in fields:
        fields[key] = value
    elif key in ONLY_ONCE:
        raise Refusal(400, f"the header {name.decode()} appears twice")
    else:
        fields[key] += ("; " if key == "HTTP_COOKIE" else ",") + value


@lru_cache(maxsize=512)
def _environ_key(name: bytes) -> str | None:
    """Return the WSGI name of a header; None for one with an underscore, which could pass for another header."""
    if b"_" in name:
        return None
    key = name.decode("ascii").upper().replace("-", "_")
    return key if key in UNPREFIXED else f"HTTP_{key}"


def _check_host(head: Head) -> None:
    """Require one valid Host in HTTP/1.1; a target in absolute form overrides it and is cut to its path."""
    host = head.fields.get("HTTP_HOST")
    if host is None and head.version == "HTTP/1.1":
        raise Refusal(400, "the Host header is missing")
    if absolute := ABSOLUTE.fullmatch(head.target):
        host, rest = absolute.groups()
        head.fields["HTTP_HOST"] = host
        head.target = rest if rest.startswith("/") else f"/{rest}"
    if host is not None and HOST.fullmatch(host) is None:
        raise Refusal(400, "the Host header is malformed")


def _body_length(head: Head) -> int | None:
    length, coding = head.fields.get("CONTENT_LENGTH"), head.fields.get("HTTP_TRANSFER_ENCODING")
    if coding is not None:
        if length is not None:
            raise Refusal(400, "Content-Length and Transfer-Encoding cannot be combined")
        if coding.lower() != "chunked" or head.version != "HTTP/1.1":
            raise Refusal(400, "the only supported Transfer-Encoding is chunked, in HTTP/1.1")
        return None
    if length is None:
        return 0
    if LENGTH.fullmatch(length) is None:
        raise Refusal(400, "Content-Length is not a plain number")
    return int(length)
