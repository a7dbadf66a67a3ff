"""HTTP/1.1 pipelining: several GETs at once on one kept connection, for requests that are safe to repeat.

Called by FakeMailClient for bulk fetching. Not every server or proxy on the way supports this well, so two requests go
first, as a trial, and only the plainest answers count: with a stated length, without any encoding, in time. At the
first other answer, or at any failure, the remaining requests stay unanswered, and the caller repeats them one by one.
"""

import re
import time
from collections.abc import Callable, Sequence

import gevent
from gevent import socket as gsocket

from engine.turns import breathe

DEPTH = 32
"""How many requests are sent at once on one connection."""

QUICK_S, FEWER = 0.003, 4
"""A server that takes at most QUICK_S per answer is asked over 1/FEWER of the connections: fewer and larger reads."""

REST_S = 600.0
"""How long nothing is pipelined after a failure; then there is another trial."""

PROMPT_S, GRACE_S = 0.1, 1.0
"""Each answer may take PROMPT_S, and all together GRACE_S more: behind a slow answer all others would wait."""

MAX_HEAD_BYTES = 16 * 1024

_STATUS = re.compile(rb"http/1\.1 (200|404|410) ")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*(?=\r\n)")
_NOT_PLAIN = re.compile(rb"\r\n(?:transfer-encoding|content-encoding|connection:(?![ \t]*keep-alive[ \t]*\r\n)|[ \t])")

Take = Callable[[bytes | None], object]
"""Takes a body, or None if the server has no such resource; raises NotPlain if it is not what was requested."""


class NotPlain(Exception):
    """An answer that cannot be trusted."""


class Pipelining:
    """Pipelining to one server: decides whether to do it, and does it."""

    def __init__(self) -> None:
        self._trusted = self._on_trial = False
        self._pace = 1.0  # seconds per answer
        self._off_until = float("-inf")

    def connections(self, most: int) -> int:
        """Return how many connections to use at once."""
        return max(1, most // FEWER) if self._trusted and self._pace <= QUICK_S else most

    def share(self, count: int, connections: int) -> int:
        """Return how many of `count` requests to send at once on one connection. The first share is a trial of two."""
        if self._on_trial or time.monotonic() < self._off_until:
            return 1
        return min(DEPTH, -(-count // connections) if self._trusted else 2)

    def ask(self, sock: gsocket.socket, requests: Sequence[bytes], take: Take, limit: int) -> bool:
        """Send all requests, `take` the bodies (of at most `limit` bytes) in order; return whether `sock` is reusable.

        `sock` must have served an exchange before. No failure is raised: requests whose bodies were not taken have no
        answer. The server may close the connection before the first answer or after several; if it does so after just
        one, it does not seem to support pipelining.
        """
        self._on_trial = not self._trusted
        began, answers, left = time.monotonic(), _Answers(limit), len(requests)
        try:
            with gevent.Timeout(GRACE_S + PROMPT_S * left, NotPlain):
                sock.sendall(b"".join(requests))
                while left and (data := sock.recv(65536)):
                    for body in answers.feed(data):
                        take(body)
                        left -= 1
                    breathe()  # otherwise the time-out would never fire while a server keeps sending
            good = left != len(requests) - 1 and not answers.surplus
        except NotPlain:
            good = False
        except OSError:
            good = left != len(requests) - 1
        finally:
            self._on_trial = False
        self._judge(good, whole=not left, pace=(time.monotonic() - began) / len(requests))
        return good and not left

    def _judge(self, good: bool, *, whole: bool, pace: float) -> None:
        if not good:
            self._trusted, self._off_until = False, time.monotonic() + REST_S
        elif whole:
            self._trusted = True
            self._pace += (pace - self._pace) / 4


class _Answers:
    """Cuts plain answers out of the received data; raises NotPlain for any other."""

    def __init__(self, limit: int) -> None:
        self._buffer = bytearray()
        self._limit = limit

    @property
    def surplus(self) -> bool:
        """Whether data is left that is not a complete answer."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes | None]:
        """Add received data and return the bodies that are now complete."""
        buffer = self._buffer
        buffer += data
        found: list[bytes | None] = []
        at = 0
        while (head_end := buffer.find(b"\r\n\r\n", at)) >= 0:
            body = head_end + 4
            there, length = self._read(buffer[at : body - 2].lower())
            if body + length > len(buffer):
                break
            at = body + length
            found.append(bytes(buffer[body:at]) if there else None)
        if head_end < 0 and len(buffer) - at > MAX_HEAD_BYTES:
            raise NotPlain("the head of an answer does not end")
        del buffer[:at]
        return found

    def _read(self, head: bytearray) -> tuple[bool, int]:
        status, lengths = _STATUS.match(head), _LENGTH.findall(head)
        if status is None or len(lengths) != 1 or _NOT_PLAIN.search(head):
            raise NotPlain("not a plain answer")
        length = int(lengths[0])
        if length > self._limit:
            raise NotPlain("a long answer")
        return status[1] == b"200", length
