"""Raw clients for the tests of the server layer: bytes in, bytes out, with no corrections on the way."""

import base64
import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

from web.app import Application
from web.limits import Limits, Slot
from web.server import HardenedServer, serve
from web.services import Access
from web.waiting import WaitingRoom
from web.websocket import LiveSocket

DEADLINE_S = 20.0


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer with the request as the application sees it."""
    seen = {
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"],
        "raw_uri": environ["RAW_URI"],
        "query": environ["QUERY_STRING"],
        "host": environ.get("HTTP_HOST"),
        "body": environ["wsgi.input"].read().decode("latin-1"),
        "content_length": environ.get("CONTENT_LENGTH"),
        "transfer_encoding": environ.get("HTTP_TRANSFER_ENCODING"),
        "cookie": environ.get("HTTP_COOKIE"),
        "accept": environ.get("HTTP_ACCEPT"),
        "request_id": environ["emailproc.request_id"],
        "address": environ["REMOTE_ADDR"],
    }
    body = json.dumps(seen).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


@contextmanager
def serving(
    app: Any = echo, limits: Limits | None = None, *, deferred: int = 0, **options: Any
) -> Iterator[HardenedServer]:
    """Run a server on a free port; the kernel keeps silent connections from it for `deferred` seconds."""
    server = serve(app, "127.0.0.1", 0, replace(limits or Limits(), deferred_seconds=deferred), **options)
    try:
        yield server
    finally:
        server.shutdown(0.5)


def opened(app: Application) -> HardenedServer:
    """Serve the application on a free port, as a front does; the caller shuts it down."""
    room = WaitingRoom(version="1.0.0", node="node", waits={}, access=Access())
    server = room.open("127.0.0.1", 0)
    room.enter(app)
    return server


@dataclass
class Answer:
    """One HTTP answer, or a WebSocket's 101."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RawClient:
    """A connection that sends exactly the given bytes."""

    def __init__(self, server: HardenedServer, timeout: float = DEADLINE_S, receive_buffer: int = 0) -> None:
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect(("127.0.0.1", server.port))
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self.stream.close()
        self.sock.close()

    def send(self, data: bytes) -> Self:
        self.sock.sendall(data)
        return self

    def end_sending(self) -> Self:
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def answer(self, *, head_only: bool = False) -> Answer:
        """Read one answer; raise EOFError if the server closes instead."""
        line = self.stream.readline()
        if not line:
            raise EOFError
        answer = Answer(int(line.split()[1]))
        while (line := self.stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            answer.headers[name.lower()] = value.strip()
        if not head_only and answer.status >= 200:
            answer.body = self._body(answer.headers)
        return answer

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            length = headers.get("content-length")
            return self.stream.read() if length is None else self.stream.read(int(length))
        body = b""
        while size := int(self.stream.readline(), 16):
            body += self.stream.read(size)
            self.stream.read(2)
        self.stream.read(2)
        return body

    def at_end(self) -> bool:
        """Wait until the server has closed its side; return False if data arrives instead."""
        try:
            return self.stream.read(1) == b""
        except ConnectionResetError:
            return True


def websockets(server: HardenedServer) -> int:
    """Return how many WebSockets are connected."""
    return server.door.count[Slot.WEBSOCKET]


def get(path: str = "/", *headers: str) -> bytes:
    """Build a correct GET."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode("latin-1")


def ask(server: HardenedServer, request: bytes, *, end: bool = False) -> Answer:
    """Send one request on its own connection."""
    with RawClient(server) as client:
        client.send(request)
        if end:
            client.end_sending()
        return client.answer()


def handshake(path: str = "/ws", **changes: str | None) -> bytes:
    """Build a WebSocket handshake; `changes` replace or (None) drop headers, named with underscores."""
    headers: dict[str, str | None] = {
        "Host": "x",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, rsv: int = 0, mask: bytes | None = b"\1\2\3\4"
) -> bytes:
    """Build a client frame, as malformed as requested."""
    first = (0x80 if final else 0) | rsv | opcode
    masked = 0x80 if mask is not None else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, masked | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked | 127, size)
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class SocketClient(RawClient):
    """A WebSocket client on raw frames, after a correct handshake."""

    def __init__(self, server: HardenedServer, path: str = "/ws", *, cookie: str | None = None, **options: Any) -> None:
        super().__init__(server, **options)
        assert self.send(handshake(path, Cookie=cookie)).answer().status == 101

    def read_frame(self) -> tuple[int, bytes]:
        """Return (opcode, payload) of the next frame; raise EOFError at the end."""
        head = self.stream.read(2)
        if len(head) < 2:
            raise EOFError
        assert head[0] & 0x80
        assert not head[1] & 0x80, "servers do not mask"
        size = head[1]
        if size == 126:
            (size,) = struct.unpack("!H", self.stream.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.stream.read(8))
        return head[0] & 0xF, self.stream.read(size)

    def text(self) -> str:
        opcode, payload = self.read_frame()
        assert opcode == 1
        return payload.decode()

    def close_code(self) -> int | None:
        """Return the code of the next close frame, skipping pings and texts before it."""
        opcode, payload = self.read_frame()
        while opcode != 8:
            opcode, payload = self.read_frame()
        return struct.unpack("!H", payload[:2])[0] if payload else None


def closing(code: int, reason: bytes = b"") -> bytes:
    """Build a client's close frame."""
    return frame(8, struct.pack("!H", code) + reason)


def echo_socket(live: LiveSocket) -> None:
    """Echo messages until there are no more."""
    while (message := live.receive()) is not None:
        live.send(message)
