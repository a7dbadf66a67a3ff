"""Socket reads and writes that always end: every wait has a deadline, and trickling bytes do not restart it.

Used by web/server_handler.py for HTTP and by web/websocket.py for frames. gevent reads a socket's time-out when a wait
begins, so one greenlet may read and another write the same socket.
"""

import contextlib
import errno
import fcntl
import io
import termios
import time
from array import array
from typing import Any

from gevent import socket

from engine.turns import breathe

TURNS = 16
Buffer = bytes | bytearray | memoryview


class ClientGoneError(OSError):
    """The client disconnected, or took our bytes too slowly: nobody is left to answer."""


class TimedReader(io.RawIOBase):
    """The read side of a socket under one deadline, to be wrapped in io.BufferedReader."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._sock = sock
        self._deadline: float | None = None
        self._seconds_per_byte = 0.0
        self._turns = 0

    def take_turn(self) -> None:
        """Let other greenlets run now and then: a client whose bytes are always available would never make us wait."""
        self._turns += 1
        if self._turns % TURNS == 0:
            breathe()

    def readable(self) -> bool:
        """Return True: the reader lives as long as its connection."""
        return True

    def expect_within(self, seconds: float | None, bytes_per_second: float = 0.0) -> None:
        """Require all further bytes within `seconds` (None: no deadline), plus their time at `bytes_per_second`."""
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._seconds_per_byte = 1 / bytes_per_second if bytes_per_second else 0.0

    def readinto(self, buffer: Any) -> int:
        """Read what is available, 0 bytes at the end of the stream; raises TimeoutError past the deadline."""
        self.take_turn()
        if self._deadline is None:
            self._sock.settimeout(None)
            return int(self._sock.recv_into(buffer))
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        self._sock.settimeout(left)
        got = int(self._sock.recv_into(buffer))
        self._deadline += got * self._seconds_per_byte
        return got


RESET_ON_CLOSE = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # struct linger {on, 0 s}: the kernel drops unsent data


def reset_on_close(sock: socket.socket) -> None:
    """Make close() drop unsent data, which the kernel would otherwise go on offering for half a minute."""
    with contextlib.suppress(OSError):  # it is gone already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


def has_unsent(sock: socket.socket) -> bool:
    """Return whether the other side has not yet taken all that was sent."""
    left = array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, left)
    except (OSError, ValueError):
        return False
    return left[0] > 0


def send_all(sock: socket.socket, data: Buffer, seconds: float, bytes_per_second: float = 0.0) -> None:
    """Send all of `data` within `seconds`, plus the time of what is taken at that rate; no wait exceeds `seconds`.

    Raises ClientGoneError; the socket is unusable then.
    """
    try:
        sock.settimeout(seconds)
        sent = sock.send(data)
        if sent != len(data):
            _send_rest(sock, memoryview(data)[sent:], seconds, 1 / bytes_per_second if bytes_per_second else 0.0)
    except TimeoutError:
        raise ClientGoneError(errno.ETIMEDOUT, "the client reads too slowly") from None
    except OSError as error:
        raise ClientGoneError(error.errno or errno.EPIPE, str(error)) from None


def _send_rest(sock: socket.socket, view: memoryview, seconds: float, seconds_per_byte: float) -> None:
    deadline = time.monotonic() + seconds
    while view:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(min(left, seconds))
        sent = sock.send(view)
        deadline += sent * seconds_per_byte
        view = view[sent:]
