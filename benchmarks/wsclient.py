"""A WebSocket client cheap enough to run a thousand of them in one process: it connects and returns whole payloads.

Used by latency_client.py and fanout_client.py, on the other core. It expects server frames unmasked and unfragmented.
"""

import base64
import os
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from gevent import socket

TIMESTAMP = re.compile(rb'"timestamp":"([^"]+)"')


class Feed:
    """One client of `/ws/emails/{name}`, on its default topic email:all."""

    def __init__(self, url: str, name: str, *, receive_buffer: int | None = None) -> None:
        parts = urlsplit(url)
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.connect((parts.hostname, parts.port))
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET /ws/emails/{name} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        )
        self.sock.sendall(f"{head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self._read()
        answer, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        if b" 101 " not in answer.split(b"\r\n")[0]:
            raise ConnectionError(answer.decode())

    def _read(self) -> bytes:
        part = self.sock.recv(262_144)
        if not part:
            raise ConnectionError("the server closed the WebSocket")
        return bytes(part)

    def chunk(self) -> list[bytes]:
        """Wait for bytes; return the payloads of all complete frames (pings are answered)."""
        self.buffer += self._read()
        payloads, at = [], 0
        for opcode, start, end in _frames(self.buffer):
            if opcode == 9:
                self._pong(self.buffer[start:end])
            else:
                payloads.append(self.buffer[start:end])
            at = end
        self.buffer = self.buffer[at:]
        return payloads

    def _pong(self, payload: bytes) -> None:
        mask = b"\0\0\0\0"  # a zero mask leaves the payload unchanged
        self.sock.sendall(bytes([0x8A, 0x80 | len(payload)]) + mask + payload)


def _frames(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (opcode, start, end) of each complete frame."""
    at = 0
    while len(data) - at >= 2:
        opcode, length, start = data[at] & 0x0F, data[at + 1] & 0x7F, at + 2
        if length >= 126:
            wide = 2 if length == 126 else 8
            if len(data) < start + wide:
                return
            length, start = int.from_bytes(data[start : start + wide], "big"), start + wide
        if len(data) < start + length:
            return
        yield opcode, start, start + length
        at = start + length
