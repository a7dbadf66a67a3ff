"""One connection: requests, read strictly and under deadlines, are answered by the application or become a WebSocket.

web/server.py makes a handler for each accepted socket. It keeps the response side of pywsgi and gevent-websocket, and
replaces what they do not guard: reading the head, the environ, errors, slow clients and closing the connection.
"""

import contextlib
import io
import logging
import os
import re
import socket as std_socket
import sys
import time
from typing import Any

import gevent
from gevent import socket
from gevent.pywsgi import WSGIHandler
from geventwebsocket.handler import WebSocketHandler

from engine.logs import bear
from web.framing import Head, path_info, read_head
from web.limits import Slot
from web.server_body import RequestBody, refuse
from web.server_io import ClientGoneError, TimedReader, has_unsent, reset_on_close, send_all
from web.server_problems import Refusal, raw_answer, retry_after
from web.websocket import LiveSocket
from web.websocket_frames import GOING_AWAY, SERVER_ERROR
from web.websocket_handshake import accept_headers, check_upgrade, wants_websocket

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
ONE_WRITE_BYTES = 65536
READ_BUFFER_BYTES = 4096
LINGER_BYTES = 1 << 20
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HardenedHandler(WebSocketHandler):
    """Serves one connection; `server` is a web.server.HardenedServer."""

    status: Any = None

    def __init__(self, sock: socket.socket, address: Any, server: Any) -> None:
        self.raw = TimedReader(sock)
        super().__init__(sock, address, server, io.BufferedReader(self.raw, READ_BUFFER_BYTES))
        self.address = str(address[0]).removeprefix("::ffff:") if isinstance(address, tuple) else ""
        self.limits = server.limits
        self.application = server.application
        self.request_id = ""
        self.waiting = True  # for a request: closing now would lose nothing
        self.unread = False  # the client may still be sending bytes that nobody will read
        self.live: LiveSocket | None = None

    def handle(self) -> None:
        """Serve requests until either side closes the connection, then close the socket."""
        slot = self.server.door.enter(self, time.monotonic())
        try:
            if slot is Slot.REFUSED:
                self._answer_raw(self._busy())
                self.unread = False  # it holds no slot, so it must not linger
            while slot is not Slot.REFUSED and self.handle_one_request():
                self.waiting = True
                self.server.door.rest(self, time.monotonic())
                self.raw.take_turn()
        except Exception:
            log.exception("Connection failed")
        finally:
            self._hang_up()
            self.server.left(self)

    def drop(self) -> None:
        """End the connection from outside, whatever it is doing."""
        with contextlib.suppress(OSError, AttributeError):  # it has ended by itself
            self.socket.shutdown(std_socket.SHUT_RDWR)

    def let_go(self) -> None:
        """Make way for the server's stop: close if idle, say good-bye on a WebSocket, else close after the answer."""
        self.close_connection = True
        if self.live is not None:
            self.live.close(GOING_AWAY, "the server is stopping")
        elif self.waiting:
            with contextlib.suppress(OSError, AttributeError):  # it has ended by itself
                self.socket.shutdown(std_socket.SHUT_RD)

    # reading a request

    def handle_one_request(self) -> bool:
        """Read and answer one request; return False if the connection is to be closed."""
        try:
            head = self._next_head()
            if head is None:
                return False
            self._begin(head)
        except Refusal as refusal:
            self._answer_raw(refusal)
            return False
        self.handle_one_response()
        return not self.close_connection

    def _next_head(self) -> Head | None:
        limits = self.limits
        self.raw.expect_within(limits.idle_seconds)
        self.request_id = ""
        try:
            if not self.rfile.peek(1):
                return None
        except TimeoutError:
            if has_unsent(self.socket):  # the client has not taken its last answer in all that time
                reset_on_close(self.socket)
            return None
        except OSError:
            return None
        self.waiting = False
        self.raw.expect_within(limits.header_seconds)
        try:
            return read_head(self.rfile, limits)
        except TimeoutError:
            raise Refusal(408, "the request arrived too slowly") from None
        except OSError:
            return None

    def _begin(self, head: Head) -> None:
        """Set up what pywsgi's response side and the application expect of a parsed request."""
        self.command, self.path, self.request_version = head.method, head.target, head.version
        self.requestline = f"{head.method} {head.target} {head.version}"
        given = head.fields.get("HTTP_X_REQUEST_ID", "")
        self.request_id = given if REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
        self.close_connection = not head.keep_alive or self.server.draining
        self.environ = self.get_environ(head)
        slot = self.server.door.inside.get(self, (Slot.REFUSED, ""))[0]
        if slot is Slot.RESERVE:
            self.close_connection = True
            if not self.server.is_reserved(self.environ["PATH_INFO"]):
                raise self._busy()
        self.server.door.heard(self)
        self.raw.expect_within(self.limits.body_seconds, self.limits.bytes_per_second)

    def get_environ(self, head: Head) -> dict[str, Any]:
        """Return the WSGI environ. RAW_URI is the target as it came, since PATH_INFO cannot tell %2F from a slash."""
        environ: dict[str, Any] = self.server.get_environ()
        environ.update(head.fields)
        path, _, query = head.target.partition("?")
        environ["REQUEST_METHOD"] = head.method
        environ["PATH_INFO"] = path_info(path)
        environ["QUERY_STRING"] = query
        environ["RAW_URI"] = head.target
        environ["SERVER_PROTOCOL"] = head.version
        environ["REMOTE_ADDR"] = self.address
        environ["REMOTE_PORT"] = str(self.client_address[1]) if isinstance(self.client_address, tuple) else ""
        environ["emailproc.request_id"] = self.request_id
        self.wsgi_input = RequestBody(self.rfile, head.length, self._continuation(environ))
        environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.input_terminated"] = True
        return environ

    def _continuation(self, environ: dict[str, Any]) -> Any:
        expected = environ.get("HTTP_EXPECT")
        if expected is None or environ["SERVER_PROTOCOL"] != "HTTP/1.1":
            return None
        if expected.lower() != "100-continue":
            raise Refusal(417, "the only supported expectation is 100-continue")
        return lambda: self._sendall(CONTINUE)

    def _busy(self) -> Refusal:
        return Refusal(503, "too many connections", (retry_after(self.limits.retry_after_seconds),))

    # answering

    def handle_one_response(self) -> None:
        """Run the application on the current request; whatever it raises is answered and logged."""
        self.status = self.result = None
        self.headers_sent = self.response_use_chunked = self.connection_upgraded = False
        bear(request_id=self.request_id)
        try:
            self.run_application()
        except (Exception, gevent.Timeout, gevent.GreenletExit):  # noqa: BLE001  (logged and answered there)
            self.handle_error(*sys.exc_info())

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """As in WSGI; add X-Request-Id, and Connection: close if the connection will be closed."""
        if not self.wsgi_input.exhausted:
            self.close_connection = self.unread = True
        closing = self.close_connection
        writer = super().start_response(status, headers, exc_info)
        if closing and self.request_version == "HTTP/1.1" and not any(n.lower() == "connection" for n, _ in headers):
            self.response_headers.append((b"Connection", b"close"))
        self.response_headers.append((b"X-Request-Id", self.request_id.encode()))
        return writer

    def finalize_headers(self) -> None:
        """As in pywsgi, but send no chunks in answer to HEAD."""
        super().finalize_headers()
        if self.command == "HEAD":
            self.response_use_chunked = False

    def _write_with_headers(self, data: bytes) -> None:
        """Send head and body in one write: two would cost a second system call and, with Nagle, 40 ms."""
        self.headers_sent = True
        self.finalize_headers()
        lines = [b"HTTP/1.1 " + self.status]
        lines += [name + b": " + value for name, value in self.response_headers]
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        if self.command == "HEAD" or not data:
            self._sendall(head)
        elif self.response_use_chunked or len(data) > ONE_WRITE_BYTES:
            self._sendall(head)
            self._write(data)
        else:
            self._sendall(head + data)

    def _write(self, data: bytes) -> None:
        if self.command != "HEAD":
            super()._write(data)

    def _sendall(self, data: bytes) -> None:
        """Send within the write deadline; raises ClientGoneError."""
        send_all(self.socket, data, self.limits.write_seconds, self.limits.bytes_per_second)

    def handle_error(self, kind: Any, error: Any, trace: Any) -> None:
        """Answer the application's exception: a refusal as it says, others as 500, with the reason in the log only."""
        if issubclass(kind, (ClientGoneError, gevent.GreenletExit)):
            self.close_connection = True
            if issubclass(kind, ClientGoneError):
                reset_on_close(self.socket)
            return
        if not isinstance(error, Refusal):
            log.error("Request failed: %s %a", self.command, self.path, exc_info=(kind, error, trace))
            error = Refusal(500, "the server failed to answer this request; its log says why")
        self.close_connection = True
        if not self.headers_sent:
            with contextlib.suppress(OSError):  # the client is gone
                self.write(b"".join(refuse(error, self.environ, self.start_response)))

    def _answer_raw(self, refusal: Refusal) -> None:
        """Answer a request that has no environ; the connection then lingers, so that the client sees the answer."""
        self.unread = self.close_connection = True
        request_id = self.request_id or os.urandom(8).hex()
        try:
            send_all(self.socket, raw_answer(refusal, request_id), self.limits.write_seconds)
        except ClientGoneError:
            self.unread = False

    # WebSocket

    def run_application(self) -> None:
        """Call the application, or upgrade to a WebSocket."""
        if self.server.on_websocket is None or not wants_websocket(self.environ):
            WSGIHandler.run_application(self)
            return
        try:
            key = check_upgrade(self.environ, self.server.authorize_websocket)
            if self.server.draining or not self.server.door.upgrade(self):
                raise self._busy()
        except Refusal as refusal:
            self.write(b"".join(refuse(refusal, self.environ, self.start_response)))
            return
        self._serve_websocket(key)

    def _serve_websocket(self, key: str) -> None:
        self.environ["wsgi.websocket"] = True  # tells gevent-websocket's start_response that this is an upgrade
        self.start_response("101 Switching Protocols", accept_headers(key))
        self.write(b"")
        self.live = LiveSocket(self.socket, self.raw, self.rfile, self.environ, self.limits)
        self.environ["wsgi.websocket"] = self.live
        try:
            self.server.on_websocket(self.live)
        except (Exception, gevent.Timeout):
            log.exception("WebSocket failed: %a", self.path)
            self.live.close(SERVER_ERROR, "the server failed on this connection")
        finally:
            self.live.finish()

    # hanging up

    def _hang_up(self) -> None:
        if self.unread:
            self._linger()
        sock = self.socket
        self.__dict__.pop("socket", None)
        sock.close()

    def _linger(self) -> None:
        """Read on briefly after a refusal: closing with unread bytes would reset the connection and lose the answer."""
        try:
            self.socket.shutdown(std_socket.SHUT_WR)
            self.raw.expect_within(self.limits.linger_seconds)
            scratch = bytearray(16384)
            left = LINGER_BYTES
            while left > 0 and (got := self.raw.readinto(scratch)):
                left -= got
        except OSError:
            pass  # the client is gone, or its time is up
