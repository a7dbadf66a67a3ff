"""Several GETs at once on one kept connection (HTTP/1.1 pipelining), for what may be asked again: no answer is taken on trust.

Called by FakeMailClient for bulk fetching. Not every server or proxy on the way is good at this, so two requests at once come first, as a
trial, and only the plainest answers count: of a stated length, without any encoding, in time. With the first answer that is another
one, and whatever else happens, the rest is left unanswered, and the caller asks for it one by one.
"""

import re
import time
from collections.abc import Callable, Sequence

import gevent
from gevent import socket as gsocket

from engine.turns import breathe

DEPTH = 32
"""Requests at once on one connection."""

QUICK_S, FEWER = 0.003, 4
"""A server that answers within that time is asked over a fourth of the connections: fewer and larger reads."""

REST_S = 600.0
"""So long nothing is pipelined after it went wrong; then comes another trial."""

PROMPT_S, GRACE_S = 0.1, 1.0
"""Each answer may take so long, and all together so much more: behind a slow answer the others would wait for nothing."""

MAX_HEAD_BYTES = 16 * 1024

_STATUS = re.compile(rb"http/1\.1 (200|404|410) ")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*(?=\r\n)")
_NOT_PLAIN = re.compile(rb"\r\n(?:transfer-encoding|content-encoding|connection:(?![ \t]*keep-alive[ \t]*\r\n)|[ \t])")

Take = Callable[[bytes | None], object]
"""Takes a body, or None where the server has no such thing; raises NotPlain when it is not what was asked for."""


class NotPlain(Exception):
    """An answer of which nothing is sure."""


class Pipelining:
    """Whether one server is asked for several things at once, and the asking."""

    def __init__(self) -> None:
        self._trusted = self._on_trial = False
        self._pace = 1.0  # seconds an answer
        self._off_until = float("-inf")

    def connections(self, most: int) -> int:
        """Over how many connections to ask at once."""
        return max(1, most // FEWER) if self._trusted and self._pace <= QUICK_S else most

    def share(self, count: int, connections: int) -> int:
        """How many of `count` things one of so many connections is asked for at once. The first such share is a trial, of two."""
        if self._on_trial or time.monotonic() < self._off_until:
            return 1
        return min(DEPTH, -(-count // connections) if self._trusted else 2)

    def ask(self, sock: gsocket.socket, requests: Sequence[bytes], take: Take, limit: int) -> bool:
        """Send all, and `take` the bodies (of `limit` bytes at most) in their order; True when `sock` is fit for more.

        `sock` must have borne an exchange before. Nothing is raised: what is not taken at the end has no answer. A connection that the
        other side closes, before the first answer or after some, is its right; after just one it looks as if it did not pipeline.
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
                    breathe()  # or the limit would never come while a server goes on sending
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
    """Cuts plain answers out of what arrives; NotPlain for any other."""

    def __init__(self, limit: int) -> None:
        self._buffer = bytearray()
        self._limit = limit

    @property
    def surplus(self) -> bool:
        """Whether a part of an answer is there."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes | None]:
        """The bodies that are complete with this."""
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
