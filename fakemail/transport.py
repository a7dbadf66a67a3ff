"""HTTP/1.1 over keep-alive connections to one host, with limits that no server can evade.

Called by client.py and signed_post.py, from greenlets. Every exchange has an overall deadline besides its time-outs,
and a cap on the size of its answer; Nagle's algorithm is off. Redirects are answers like any other, and proxy settings
of the environment are ignored. The C parser of geventhttpclient (llhttp) reads the answers.
"""

import contextlib
import select
import ssl
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import gevent
import msgspec
from gevent import monkey
from gevent import socket as gsocket
from gevent.ssl import SSLContext
from geventhttpclient.response import HTTPParseError, HTTPResponseParser

from engine.turns import breathe, off_the_hub
from fakemail.spool import Spool

_MAX_FRAMING_BYTES = 64 * 1024
_MAX_FRAMING_SHARE = 8
"""The cap on framing (heads, interim answers, chunk frames, trailers): some bytes plus a multiple of the body."""

_IDLE_S = 30.0

_poll = monkey.get_original("select", "poll")
"""The one that asks the kernel, without a turn of the hub."""

LONGEST_S = 900.0
"""No exchange takes longer, whatever the pace of its answer."""

Resolve = Callable[[str, int], Sequence[tuple[int, tuple[Any, ...]]]]
"""Host and port → (family, address) to connect to; ValueError for a host that may not be called (egress.py)."""


class TransportError(Exception):
    """A failed exchange; the message says how it failed."""


class Unreachable(TransportError):
    """No connection: refused, unknown host, no route, or a certificate that does not match."""


class TimedOut(TransportError):
    """The deadline passed, or nothing was received in time."""


class BrokenAnswer(TransportError):
    """The connection ended early, or the answer is not HTTP."""


class TooLarge(TransportError):
    """The answer is larger than the caller's limit."""


class Timeouts(msgspec.Struct, frozen=True):
    """How long to wait, in seconds: for a connection, for the next byte, and for everything together.

    With a `pace` in bytes per second, an answer may take longer than `total_s` by the time that its bytes take at that
    pace, up to LONGEST_S; 0: no longer.
    """

    connect_s: float = 2.0
    read_s: float = 5.0
    total_s: float = 10.0
    pace: float = 0.0


class Response(HTTPResponseParser):  # type: ignore[misc] # an untyped C class
    """One answer, while it is read and afterwards: `status`, `headers` (names in lower case), `body`."""

    def __init__(self, max_bytes: int, body: "bytearray | Spool | None" = None) -> None:
        super().__init__()
        self.complete = False
        self.status = 0  # set when complete: later, the parser would report that of unrequested data after the answer
        self.surplus = False
        self.headers: dict[str, str] = {}
        self.body: bytearray | Spool = bytearray() if body is None else body
        self._max_bytes = max_bytes
        self._field = ""
        self._value = ""
        self._in_value = False
        self._received = 0
        self._in_head = True

    def take(self, data: bytes) -> None:
        """Process received data; empty data means the end of the connection."""
        try:
            self.feed(data)
        except HTTPParseError as error:
            if not self.complete:
                raise BrokenAnswer(f"not an HTTP answer: {error}") from error
            self.surplus = True
        self._received += len(data)
        if self.complete:
            return
        if not data:
            raise BrokenAnswer("the connection ended before the answer")
        if self._received - len(self.body) > _MAX_FRAMING_BYTES + _MAX_FRAMING_SHARE * len(self.body):
            raise TooLarge("the headers and chunk frames around the body do not end")

    def reusable(self) -> bool:
        """Return whether the connection may be used for another exchange."""
        return self.complete and not self.surplus and bool(self.should_keep_alive())

    def decoded(self) -> bytearray | bytes | Spool:
        """Return the body without its content encoding, under the same cap; raises BrokenAnswer if it is unreadable."""
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding in ("", "identity"):
            return self.body
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise BrokenAnswer("a content encoding that we did not ask for")
        packed = self.body.read(0, len(self.body)) if isinstance(self.body, Spool) else self.body
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
        try:  # zlib releases the interpreter lock, so a thread spares the hub
            plain: bytes = off_the_hub(inflater.decompress, packed, self._max_bytes + 1)
        except zlib.error as error:
            raise BrokenAnswer(f"the compressed body is damaged: {error}") from error
        if len(plain) > self._max_bytes:
            raise TooLarge(f"the answer unpacks to more than {self._max_bytes} bytes")
        if not inflater.eof:
            raise BrokenAnswer("the compressed body is cut short")
        return plain

    # The parser calls these while it is fed.

    def _on_message_begin(self) -> None:
        if self.complete:
            self.surplus = True

    def _on_status(self, _reason: str) -> None:
        pass

    def _on_header_field(self, text: str) -> None:
        if self._in_value:
            self._flush()
        if self._in_head:  # trailers are ignored
            self._field += text

    def _on_header_value(self, text: str) -> None:
        self._in_value = True
        if self._in_head:
            self._value += text

    def _on_headers_complete(self) -> None:
        if self.surplus:
            return
        self._flush()
        self._in_head = False
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._max_bytes:
            raise TooLarge(f"the answer says that it has {length[:20]} bytes, more than {self._max_bytes}")

    def _on_body(self, data: bytearray) -> None:
        if self.surplus:
            return
        if len(self.body) + len(data) > self._max_bytes:
            raise TooLarge(f"the answer has more than {self._max_bytes} bytes")
        self.body.extend(data)

    def _on_message_complete(self) -> None:
        if self.get_code() < 200:
            self.headers.clear()
            self._in_head = True
        elif not self.complete:
            self.complete, self.status = True, int(self.get_code())

    def _flush(self) -> None:
        if self._field:
            self.headers[self._field.lower()] = self._value
        self._field = self._value = ""
        self._in_value = False


class Connections:
    """Keep-alive connections to the host of `url`; any number of greenlets may call `exchange` concurrently."""

    def __init__(self, url: str, resolve: Resolve | None = None) -> None:
        """Raise ValueError if `url` is not an http or https URL with a host, or holds a user name or password."""
        parts = urlsplit(url)
        self._resolve = resolve
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it must be an http:// or https:// URL with a host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("it must not hold a user name or a password")
        self._tls: SSLContext | None = ssl.create_default_context() if parts.scheme == "https" else None
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self.host_header = parts.netloc.rpartition("@")[2]
        self._idle: list[tuple[gsocket.socket, float]] = []
        self._closed = False

    def exchange(
        self,
        request: bytes,
        *,
        max_bytes: int,
        timeouts: Timeouts,
        spooled: bool = False,
        heard: Callable[[], None] = lambda: None,
    ) -> Response:
        """Send a whole request, which must be safe to repeat, and read its answer, into a Spool if `spooled`.

        `heard` is called for each piece of the answer. Any failure is raised as a TransportError.
        """
        began, longest = time.monotonic(), LONGEST_S if timeouts.pace else timeouts.total_s

        def went_on(answer: Response) -> None:
            heard()
            if timeouts.pace and time.monotonic() > began + timeouts.total_s + len(answer.body) / timeouts.pace:
                raise TimedOut(f"no whole answer within {timeouts.total_s:g} s, at {timeouts.pace:g} bytes a second")

        with gevent.Timeout(longest, TimedOut(f"no whole answer within {longest:g} s")):
            while (sock := self._reuse()) is not None:
                answer = self._converse(sock, request, _response(max_bytes, spooled), timeouts, went_on, fresh=False)
                if answer is not None:
                    return answer
            sock = self._connect(timeouts)
            answer = self._converse(sock, request, _response(max_bytes, spooled), timeouts, went_on, fresh=True)
        assert answer is not None
        return answer

    def ask_together(self, ask: Callable[[gsocket.socket], bool]) -> None:
        """Let `ask` use an idle connection, if there is one; it returns whether the connection is reusable."""
        sock = self._reuse()
        if sock is None:
            return
        keep = False
        try:
            keep = ask(sock)
        finally:
            self._put_away(sock, keep=keep)

    def close(self) -> None:
        """Close idle connections, now and whenever one becomes idle."""
        self._closed = True
        while self._idle:
            self._idle.pop()[0].close()

    def _reuse(self) -> gsocket.socket | None:
        while self._idle:
            sock, since = self._idle.pop()
            if time.monotonic() - since < _IDLE_S and _is_quiet(sock):
                return sock
            sock.close()
        return None

    def _keep(self, sock: gsocket.socket) -> None:
        now = time.monotonic()
        self._idle.append((sock, now))
        while now - self._idle[0][1] > _IDLE_S:  # the oldest are at the bottom of the stack
            self._idle.pop(0)[0].close()

    def _connect(self, timeouts: Timeouts) -> gsocket.socket:
        try:
            sock = self._open(timeouts.connect_s)
        except TimeoutError:
            raise TimedOut(f"no connection within {timeouts.connect_s:g} s") from None
        except (OSError, ValueError) as error:  # of which UnicodeError is one
            raise Unreachable(f"no connection: {error}") from error
        try:
            sock.setsockopt(gsocket.IPPROTO_TCP, gsocket.TCP_NODELAY, 1)
            return self._tls.wrap_socket(sock, server_hostname=self._host) if self._tls else sock
        except BaseException as error:
            sock.close()
            if isinstance(error, OSError):
                raise Unreachable(f"no connection: {error}") from error
            raise

    def _open(self, seconds: float) -> gsocket.socket:
        """Connect to the host or, with `resolve`, to the first of exactly the addresses it allowed that accepts."""
        if self._resolve is None:
            return gsocket.create_connection((self._host, self._port), timeout=seconds)
        failed: OSError = OSError("the name has no address")
        for family, address in self._resolve(self._host, self._port):
            sock = gsocket.socket(family, gsocket.SOCK_STREAM)
            try:
                sock.settimeout(seconds)
                sock.connect(address)
            except OSError as error:
                sock.close()
                failed = error
            else:
                return sock
        raise failed

    def _converse(
        self,
        sock: gsocket.socket,
        request: bytes,
        answer: Response,
        timeouts: Timeouts,
        went_on: Callable[[Response], None],
        *,
        fresh: bool,
    ) -> Response | None:
        """Make one exchange on one connection; return None if a kept one turns out to be closed by the other side."""
        begun = keep = False
        try:
            sock.settimeout(timeouts.read_s)
            sock.sendall(request)
            while not answer.complete:
                if begun:
                    breathe()  # otherwise a server that never stops sending would keep all time-outs from firing
                data = sock.recv(65536)
                if not data and not begun and not fresh:
                    return None
                begun = True
                answer.take(data)
                went_on(answer)
            keep = answer.reusable()
        except TimeoutError:
            raise TimedOut(f"nothing received for {timeouts.read_s:g} s") from None
        except OSError as error:
            if not begun and not fresh:
                return None
            raise BrokenAnswer(f"the connection broke: {error}") from error
        finally:
            self._put_away(sock, keep=keep)
        return answer

    def _put_away(self, sock: gsocket.socket, *, keep: bool) -> None:
        if keep and not self._closed:
            self._keep(sock)
        else:
            with contextlib.suppress(OSError):
                sock.close()


def _is_quiet(sock: gsocket.socket) -> bool:
    """Return whether nothing has come on an idle connection: neither its end nor an answer to nothing, such as a 408."""
    ready = _poll()
    ready.register(sock, select.POLLIN)
    return not ready.poll(0)


def _response(max_bytes: int, spooled: bool) -> Response:
    return Response(max_bytes, Spool() if spooled else None)
