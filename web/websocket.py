"""One live WebSocket: a read loop in the connection's greenlet and a single writer with a bounded outbox.

web/server_handler.py makes it after the handshake and passes it to the application, which calls `receive` in its
greenlet and `send` from any. A slow or silent client fills only its own outbox and is cut off; nobody waits for it.
"""

import contextlib
import io
import socket as std_socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
from gevent import socket
from gevent.event import Event

from web import websocket_frames as frames
from web.limits import Limits
from web.server_io import TimedReader, reset_on_close, send_all
from web.websocket_frames import Frame, FrameError, encode_text

BATCH_BYTES = 65536
CONTROL_FRAMES = 16


class CloseTimeoutError(Exception):
    """The other side did not answer our close frame in time."""


class LiveSocket:
    """A connected client. `dropped` counts the messages that found the outbox full; `close_code` says how it ended.

    `on_room` is called whenever the outbox has been emptied; it may send, but neither wait nor raise.
    """

    def __init__(
        self, sock: socket.socket, raw: TimedReader, stream: io.BufferedReader, environ: dict[str, Any], limits: Limits
    ) -> None:
        self.environ = environ
        self.dropped = 0
        self.on_room: Callable[[], object] = lambda: None
        self.close_code: int | None = None
        self._sock = sock
        self._raw = raw
        self._stream = stream
        self._limits = limits
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._control: deque[bytes] = deque(maxlen=CONTROL_FRAMES)
        self._close_frame: bytes | None = None
        self._peer_closed = False
        self._failed = False
        self._gone = False
        self._ended = Event()
        self._wake = Event()
        self._reading = False  # a replay, for example, reads nothing until it is over
        self._pings_out = 0
        self._next_ping = time.monotonic() + limits.ping_seconds
        sock.setsockopt(std_socket.SOL_SOCKET, std_socket.SO_SNDBUF, limits.send_buffer_bytes)
        self._writer = gevent.spawn(self._write_loop)

    @property
    def closed(self) -> bool:
        """Whether nothing more will be sent but, at most, what is queued and the close frame."""
        return self._gone or self._close_frame is not None

    def send(self, message: str | bytes) -> bool:
        """Queue a text message (bytes: UTF-8 already); return False if the outbox is full or the socket closed."""
        return self.send_encoded(encode_text(message))

    def send_encoded(self, frame: bytes) -> bool:
        """Queue a frame from `encode_text`; never waits.

        Return False and count it in `dropped` if the outbox is full.
        """
        if self.closed:
            return False
        full = len(self._outbox) >= self._limits.outbox_frames
        if full or (self._outbox and self._outbox_bytes + len(frame) > self._limits.outbox_bytes):
            self.dropped += 1
            return False
        self._outbox.append(frame)
        self._outbox_bytes += len(frame)
        self._wake.set()
        return True

    def receive(self) -> str | None:
        """Wait for the next message; None when the connection is over. A binary one is decoded as UTF-8, leniently."""
        self._pings_out, self._reading = 0, True  # their answers may be waiting to be read
        try:
            return self._read_message()
        except FrameError as error:
            self._failed = True
            self.close(error.code, error.reason)
        except (EOFError, OSError):
            self._leave()
        finally:
            self._reading = False
        return None

    def close(self, code: int = frames.NORMAL, reason: str = "") -> None:
        """Send what is queued, then a close frame; `receive` ends when the client answers or `close_seconds` pass."""
        if not self.closed:
            self.close_code = code
            self._close_frame = frames.encode_close(code, reason)
            self._wake.set()

    def finish(self) -> None:
        """Say good-bye and wait, within bounds, for the end; the server calls this once the application is done."""
        try:
            self.close()
            self._await_peer()
            self._ended.set()
            self._writer.join(self._limits.write_seconds + self._limits.close_seconds)
        finally:
            self._leave()
            self._writer.kill(block=False)

    def abort(self) -> None:
        """Cut the connection off: unsent data is dropped, and a waiting `receive` ends."""
        self._gone = True
        self._wake.set()
        reset_on_close(self._sock)
        with contextlib.suppress(OSError):  # it is gone already
            self._sock.shutdown(std_socket.SHUT_RDWR)

    def _leave(self) -> None:
        self._gone = True
        self._ended.set()
        self._wake.set()

    # reading

    def _read_message(self) -> str | None:
        parts: list[bytes] = []
        opcode = frames.CONTINUATION
        room = self._limits.message_bytes
        while not self._peer_closed and not self._failed:
            frame = self._read_frame(room)
            if frame.opcode >= frames.CLOSE:
                self._on_control(frame)
                continue
            if (frame.opcode == frames.CONTINUATION) is (opcode == frames.CONTINUATION):
                raise FrameError(frames.PROTOCOL_ERROR, "fragments out of order")
            opcode = opcode or frame.opcode
            room -= len(frame.payload)
            parts.append(frame.payload)
            if len(parts) > self._limits.message_fragments:
                raise FrameError(frames.TOO_BIG, "too many fragments")
            if frame.final and self._close_frame is None:
                return _text(opcode, b"".join(parts))
            if frame.final:  # we are closing: what still comes is not for the application
                parts, opcode, room = [], frames.CONTINUATION, self._limits.message_bytes
        return None

    def _read_frame(self, room: int) -> Frame:
        """Wait without a deadline for a frame to begin (pings find dead peers), but not for its rest."""
        self._raw.take_turn()
        self._raw.expect_within(None)
        if not self._stream.peek(1):
            raise EOFError
        self._raw.expect_within(self._limits.body_seconds)
        frame = frames.read_frame(self._stream, room)
        self._pings_out = 0
        return frame

    def _on_control(self, frame: Frame) -> None:
        if frame.opcode == frames.PING:
            self._control.append(frames.encode_frame(frames.PONG, frame.payload))
            self._wake.set()
        elif frame.opcode == frames.CLOSE:
            code = frames.parse_close(frame.payload)
            self._peer_closed = True
            if self._close_frame is None:
                self.close_code = code
                self._close_frame = frames.encode_frame(frames.CLOSE, frame.payload[:2])
            self._ended.set()
            self._wake.set()

    def _await_peer(self) -> None:
        """After our close frame, read until the other side's, the end of the stream or the time-out."""
        if self._peer_closed or self._gone:
            return
        timed = gevent.Timeout(self._limits.close_seconds, CloseTimeoutError())
        with contextlib.suppress(FrameError, EOFError, OSError, CloseTimeoutError), timed:
            if not self._failed:
                self._read_message()
            while self._failed and self._stream.read1():
                pass

    # writing: everything below runs in the writer greenlet

    def _write_loop(self) -> None:
        try:
            while not self._gone and self._write_round():
                pass
        except OSError:
            self.abort()

    def _write_round(self) -> bool:
        """Send what is queued, or wait for something; return False when the conversation is over."""
        if not self._outbox and not self._control and self._close_frame is None:
            self._wake.wait(max(0.0, self._next_ping - time.monotonic()))
            self._wake.clear()
            return self._heartbeat()
        batch = self._take_batch()
        if batch:
            send_all(self._sock, batch, self._limits.write_seconds)
            if not self._outbox:
                self.on_room()
            return self._heartbeat()
        return self._say_goodbye()

    def _take_batch(self) -> bytes:
        batch = list(self._control)
        self._control.clear()
        size = 0
        while self._outbox and size < BATCH_BYTES:
            frame = self._outbox.popleft()
            size += len(frame)
            batch.append(frame)
        self._outbox_bytes -= size
        return batch[0] if len(batch) == 1 else b"".join(batch)

    def _heartbeat(self) -> bool:
        """Ping when it is time; cut off a client that has answered none of the last pings."""
        now = time.monotonic()
        if now < self._next_ping or self.closed:
            return not self._gone
        if self._reading and self._pings_out >= self._limits.missed_pings:
            self.abort()
            return False
        self._pings_out += 1
        self._next_ping = now + self._limits.ping_seconds
        self._control.append(frames.encode_frame(frames.PING, b""))
        return True

    def _say_goodbye(self) -> bool:
        send_all(self._sock, self._close_frame or b"", self._limits.write_seconds)
        if self._failed:
            self._sock.shutdown(std_socket.SHUT_WR)
        if not self._ended.wait(self._limits.close_seconds):
            self.abort()
        return False


def _text(opcode: int, message: bytes) -> str:
    return frames.decode_utf8(message) if opcode == frames.TEXT else message.decode(errors="replace")
