"""Request bodies: read completely, under a cap, before the application sees the request.

The handler puts a `RequestBody` into wsgi.input. The middleware `BodyBudget` reads it and passes on a BytesIO with a
true CONTENT_LENGTH (bottle would decode a chunked body a second time).
"""

import io
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO
from urllib.parse import quote

from web.limits import Limits
from web.server_problems import Refusal, problem_headers, retry_after, status_line

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]
BodyCap = int | Callable[[Environ], int]

SLICE = 65536
CHUNK_LINE_BYTES = 1024
TRAILER_LINES = 32
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n")


class RequestBody(io.BufferedIOBase):
    """The body of one request on its connection: `length` bytes, or chunked if that is None.

    `exhausted` says that the stream is at the next request. `before_read` sends 100 Continue if the client waits for
    it.
    """

    def __init__(self, stream: BinaryIO, length: int | None, before_read: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.length = length
        self.exhausted = length == 0
        self._stream = stream
        self._left = length or 0
        self._before_read = before_read

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes (all: -1), b"" at the end; raises Refusal if the body is broken, short or late."""
        wanted = float("inf") if size is None or size < 0 else size
        parts: list[bytes] = []
        while wanted > 0 and not self.exhausted:
            part = self._read_some(int(min(wanted, SLICE)))
            wanted -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _discard(self) -> None:
        """Do nothing; pywsgi calls this after the answer. Unread bytes stay, and the handler closes the connection."""

    def _read_some(self, size: int) -> bytes:
        if self._before_read is not None:
            self._before_read()
            self._before_read = None
        try:
            if self.length is None and self._left == 0:
                self._next_chunk()
            return b"" if self.exhausted else self._take(size)
        except TimeoutError:
            raise Refusal(408, "the body arrived too slowly") from None
        except OSError:
            raise Refusal(400, "the connection broke in the middle of the body") from None

    def _take(self, size: int) -> bytes:
        part = self._stream.read(min(size, self._left))
        if not part:
            raise Refusal(400, "the body ends early")
        self._left -= len(part)
        if self._left == 0:
            if self.length is not None:
                self.exhausted = True
            elif self._stream.read(2) != b"\r\n":
                raise Refusal(400, "a chunk is malformed")
        return part

    def _next_chunk(self) -> None:
        match = CHUNK_SIZE.fullmatch(self._stream.readline(CHUNK_LINE_BYTES))
        if match is None:
            raise Refusal(400, "a chunk is malformed")
        self._left = int(match[1], 16)
        if self._left == 0:
            self._skip_trailers()
            self.exhausted = True

    def _skip_trailers(self) -> None:
        for _ in range(TRAILER_LINES):
            line = self._stream.readline(CHUNK_LINE_BYTES)
            if line == b"\r\n":
                return
            if TRAILER.fullmatch(line) is None:
                break
        raise Refusal(400, "the trailers are malformed")


def cap_by_path(default: int, table: Mapping[str, int]) -> Callable[[Environ], int]:
    """Return a cap that depends on the path: `table` maps a path and all below it to bytes; the longest match wins."""
    paths = sorted(table, key=len, reverse=True)

    def cap(environ: Environ) -> int:
        asked = environ.get("PATH_INFO", "")
        return next((table[path] for path in paths if asked == path or asked.startswith(f"{path}/")), default)

    return cap


def raw_path(environ: Environ) -> str:
    """Return the path as requested, still percent-encoded."""
    target = environ.get("RAW_URI")
    return str(target).partition("?")[0] if target else quote(environ["PATH_INFO"].encode("latin-1"))


class BodyBudget:
    """WSGI middleware: the application gets a complete body of at most `cap` bytes, or is not called at all.

    The bodies in progress together stay below `limits.all_bodies_bytes`, small ones not counted; beyond that the answer
    is 503. A cap that is a function may raise Refusal: then the body is not read.
    """

    def __init__(self, app: WsgiApp, cap: BodyCap, limits: Limits) -> None:
        self.app = app
        self.cap = cap
        self.limits = limits
        self.in_hand = 0

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        chunked = environ.pop("HTTP_TRANSFER_ENCODING", None) is not None
        if not chunked and environ.get("CONTENT_LENGTH", "0") in ("0", ""):
            environ["wsgi.input"] = io.BytesIO()
            return self.app(environ, start_response)
        held = 0
        try:
            cap = self.cap if isinstance(self.cap, int) else self.cap(environ)
            held = self._reserve(cap if chunked else int(environ["CONTENT_LENGTH"]), cap)
            body = _read_capped(environ["wsgi.input"], cap, chunked=chunked)
            environ["CONTENT_LENGTH"] = str(len(body))
            environ["wsgi.input"] = io.BytesIO(body)
            return self.app(environ, start_response)
        except Refusal as refusal:
            return refuse(refusal, environ, start_response)
        finally:
            self.in_hand -= held

    def _reserve(self, wanted: int, cap: int) -> int:
        if wanted > cap:
            raise Refusal(413, f"the body is larger than {cap} bytes")
        if wanted <= self.limits.small_body_bytes:
            return 0
        if self.in_hand + wanted > self.limits.all_bodies_bytes and self.in_hand:
            raise Refusal(503, "too many large requests are in progress", (retry_after(1),))
        self.in_hand += wanted
        return wanted


def _read_capped(stream: BinaryIO, cap: int, *, chunked: bool) -> bytes:
    body = stream.read(cap + 1) if chunked else stream.read()
    if len(body) > cap:
        raise Refusal(413, f"the body is larger than {cap} bytes")
    return body


def refuse(refusal: Refusal, environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answer a refusal by WSGI."""
    request_id = environ.get("emailproc.request_id", "")
    body = refusal.body(request_id, raw_path(environ))
    start_response(status_line(refusal.status), problem_headers(refusal, body))
    return [body]
