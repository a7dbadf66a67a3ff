"""The FakeMail client: turns answers into values, and failures into the exceptions of engine/errors.py.

Used by the lister, the fetcher and /health, from greenlets; it never blocks the hub. Each of the five calls is safe to
repeat, so a kept connection that turns out to be closed is replaced silently. All calls share one circuit breaker, and
the pause that a 429 asks for.
"""

import json
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import NoReturn, TypeVar
from urllib.parse import quote, urlsplit

import gevent
import msgspec
from gevent.lock import BoundedSemaphore

from engine.errors import DependencyTrouble, Permanent, SettingsError, Throttled
from fakemail.answers import (
    Garbled,
    RemoteEmail,
    read_email,
    read_history_id,
    read_object,
    read_opinion,
    retry_after,
)
from fakemail.breaker import CircuitBreaker, CircuitOpen, Refused
from fakemail.listing import Listing, read_listing
from fakemail.pipeline import NotPlain, Pipelining
from fakemail.spool import Spool
from fakemail.transport import Connections, Response, Timeouts, TooLarge, TransportError, Unreachable

T = TypeVar("T")

_NAME = "fakemail"
_SMALL_ANSWER_BYTES = 64 * 1024
_GATEWAY_STATUSES = (502, 503, 504)
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]+")


class Limits(msgspec.Struct, frozen=True):
    """Time-outs in seconds, sizes in bytes, and the number of concurrent requests."""

    call: Timeouts = Timeouts()
    listing: Timeouts = Timeouts(read_s=30.0, total_s=60.0, pace=16 * 1024)
    max_body_bytes: int = 262_144
    max_email_bytes: int = 8 * 1024 * 1024
    max_listing_bytes: int = 128 * 1024 * 1024
    concurrency: int = 16


class _AccountTrouble(DependencyTrouble):
    """Trouble that is certainly not about one email: the breaker counts it without the key of the email."""


class RequestRefused(DependencyTrouble):
    """FakeMail answers, but refuses this one request: the account works, so the breaker records a success."""


class FakeMailClient:
    """One FakeMail account at `base_url`, which may have a path; `token` is sent to that host and no other.

    Every call raises DependencyTrouble, or its subclass Throttled, when FakeMail is away or answers nonsense.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        limits: Limits | None = None,
        breaker: CircuitBreaker | None = None,
        setting: str = "FAKEMAIL_API_URL",
    ) -> None:
        """Raise SettingsError for an unusable URL (it names `setting`) or token."""
        try:
            self._connections = Connections(base_url)
        except ValueError as error:
            raise SettingsError(f"{setting}: {error}") from error
        self._path = quote(urlsplit(base_url).path.rstrip("/"), safe="/%")
        self._limits = limits or Limits()
        self._slots = BoundedSemaphore(self._limits.concurrency)
        self._pipelining = Pipelining()
        self.breaker = breaker or CircuitBreaker()
        self.use_token(token)

    def use_token(self, token: str | None) -> None:
        """Send this token (None: none) from now on; raises SettingsError if it does not fit into a header."""
        if token and not (token.isascii() and token.isprintable()):
            raise SettingsError("FAKEMAIL_API_TOKEN: it must be printable ASCII")
        head = [f"Host: {self._connections.host_header}", "Accept: application/json", "Accept-Encoding: identity"]
        head += ["User-Agent: email-processor"] + ([f"Authorization: Bearer {token}"] if token else [])
        self._head = (" HTTP/1.1\r\n" + "\r\n".join(head) + "\r\n").encode()

    def watch(self) -> int:
        """Return the newest history id of the account."""
        return self._call("POST", "/watch", read_history_id, document={})

    def probe(self) -> None:
        """Call `/watch` even if the breaker is open; success closes it. Failures of single emails open it, too."""
        self._call("POST", "/watch", read_history_id, document={}, early=True)

    def subscribe(self, webhook_url: str) -> None:
        """Have FakeMail notify `webhook_url` from now on."""
        document = {"webhook_url": webhook_url}
        self._call("POST", "/subscribe", lambda body: body and read_object(body), document=document, refusable=True)

    def list_emails(self, from_history_id: int, heard: Callable[[], None] = lambda: None) -> list[str] | Listing:
        """Return the ids of the emails after `from_history_id`, oldest first, as listed (an id may occur twice).

        `heard` is called for each piece received: a long listing takes minutes over a slow line.
        """
        if self.breaker.state(time.monotonic()) != "closed":
            self.watch()  # as the probe: a listing may take minutes, during which no other call would be admitted
        request = self._request("GET", f"/emails?from_history_id={from_history_id}")
        limits = self._limits

        def work() -> list[str] | Listing:
            try:
                answer = self._connections.exchange(
                    request, max_bytes=limits.max_listing_bytes, timeouts=limits.listing, spooled=True, heard=heard
                )
                return read_listing(_body_of(answer))
            except (Garbled, TransportError) as error:
                raise _trouble(error) from error
            except OSError as error:
                raise DependencyTrouble(f"the listing cannot be stored: {error}", dependency=_NAME) from error

        return self._guarded(work, key=None)

    def classify(self, subject: str, body: str) -> tuple[str, float]:
        """Return FakeMail's own opinion: a label and a confidence in 0..1."""
        document = {"subject": subject, "body": body}
        return self._call("POST", "/classify", read_opinion, document=document, refusable=True)

    def get_email(self, email_id: str) -> RemoteEmail | None:
        """Return one email, or None if there is none with that id; raises Permanent if it can never be fetched."""
        if not email_id:
            raise Permanent("an empty id cannot be fetched", reason="invalid_email")
        if not self._slots.acquire(timeout=self._limits.call.total_s):
            raise DependencyTrouble("all connections to FakeMail are busy", dependency=_NAME)
        try:
            return self._guarded(lambda: self._get_email(email_id), key=email_id)
        finally:
            self._slots.release()

    def get_emails(self, email_ids: Sequence[str]) -> list[RemoteEmail | Exception | None]:
        """Fetch several emails concurrently; return, in the same order, what `get_email` would return or raise."""
        results: list[RemoteEmail | Exception | None] = [None] * len(email_ids)
        todo = deque(range(len(email_ids)))
        connections = self._pipelining.connections(self._limits.concurrency)

        def work() -> None:
            while todo:
                share = min(len(todo), self._pipelining.share(len(email_ids), connections))
                places = [todo.popleft() for _ in range(share)]
                together = self._get_together([email_ids[place] for place in places])
                for place, email in zip_longest(places, together):
                    results[place] = email or self._tried(email_ids[place])

        workers = [gevent.spawn(work) for _ in range(min(connections, len(email_ids)))]
        try:
            gevent.joinall(workers, raise_error=True)
        finally:
            gevent.killall(workers)
        return results

    def close(self) -> None:
        """Close the idle connections."""
        self._connections.close()

    def _get_together(self, email_ids: Sequence[str]) -> list[RemoteEmail | None]:
        """Fetch emails by pipelining, as far as that works. Emails that are None or left out must be fetched singly."""
        emails: list[RemoteEmail | None] = []
        if len(email_ids) == 1 or not all(email_ids) or self.breaker.state(time.monotonic()) != "closed":
            return emails

        def take(body: bytes | None) -> None:
            try:
                email_id = email_ids[len(emails)]
                emails.append(None if body is None else read_email(body, email_id, self._limits.max_body_bytes))
            except (Garbled, Permanent, IndexError) as error:
                raise NotPlain from error

        requests = [self._request("GET", "/email/" + encode_id(email_id)) for email_id in email_ids]
        limit = self._limits.max_email_bytes
        if self._slots.acquire(blocking=False):
            try:
                self._connections.ask_together(lambda sock: self._pipelining.ask(sock, requests, take, limit))
            finally:
                self._slots.release()
        return emails

    def _tried(self, email_id: str) -> RemoteEmail | Exception | None:
        try:
            return self.get_email(email_id)
        except Exception as error:  # noqa: BLE001 - it is returned as this id's result
            error.__cause__ = error.__context__ = None  # otherwise their frames keep the whole answer, megabytes of it,
            return error.with_traceback(None)  # until a full garbage collection

    def _get_email(self, email_id: str) -> RemoteEmail | None:
        request = self._request("GET", "/email/" + encode_id(email_id))
        try:
            answer = self._exchange(request, self._limits.call, self._limits.max_email_bytes)
            if answer.status in (404, 410):
                return None
            if 400 <= answer.status < 500:
                _raise_for_status(answer)
                raise Permanent(f"FakeMail refuses this email: status {answer.status}", reason="fetch_failed")
            return read_email(_plain(answer), email_id, self._limits.max_body_bytes)
        except TooLarge as error:
            raise Permanent(str(error), reason="too_large") from error
        except (Garbled, TransportError) as error:
            raise _trouble(error) from error

    def _call(
        self,
        method: str,
        path: str,
        read: Callable[[bytes | bytearray], T],
        *,
        document: dict[str, str] | None = None,
        refusable: bool = False,
        early: bool = False,
    ) -> T:
        """Make a call that is not about one email.

        `refusable`: a 4xx is about this request and says nothing about the account. `early`: the call may be the probe
        of an open breaker before its back-off is over.
        """
        request = self._request(method, path, document)

        def work() -> T:
            try:
                answer = self._exchange(request, self._limits.call, _SMALL_ANSWER_BYTES)
                if refusable and 400 <= answer.status < 500:
                    _raise_for_status(answer)
                    raise RequestRefused(f"FakeMail refuses {path}: status {answer.status}", dependency=_NAME)
                return read(_plain(answer))
            except (Garbled, TransportError) as error:
                raise _trouble(error) from error

        return self._guarded(work, key=None, early=early)

    def _request(self, method: str, path: str, document: dict[str, str] | None = None) -> bytes:
        start = f"{method} {self._path}{path}".encode()
        if document is None:
            return start + self._head + b"\r\n"
        # json writes lone surrogates as \ud800; msgspec would reject them.
        body = json.dumps(document).encode()
        head = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        return start + self._head + head + body

    def _exchange(self, request: bytes, timeouts: Timeouts, max_bytes: int) -> Response:
        return self._connections.exchange(request, max_bytes=max_bytes, timeouts=timeouts)

    def _guarded(self, work: Callable[[], T], *, key: str | None, early: bool = False) -> T:
        """Run `work` under the breaker and report its outcome."""
        try:
            permit = self.breaker.admit(time.monotonic(), early=early)
        except Refused as refused:
            _refuse(refused)
        try:
            value = work()
        except Throttled as error:
            if not self.breaker.throttle(permit, time.monotonic(), error.retry_after or 1.0, key=key):
                raise DependencyTrouble(str(error), dependency=_NAME, retry_after=error.retry_after) from None
            raise
        except (RequestRefused, Permanent):
            self.breaker.success(permit, key=key)
            raise
        except DependencyTrouble as error:
            whose = None if isinstance(error, _AccountTrouble) else key
            self.breaker.failure(permit, time.monotonic(), key=whose)
            raise
        except BaseException:  # the caller's time was up, or a bug: this says nothing about FakeMail
            self.breaker.abandon(permit)
            raise
        self.breaker.success(permit, key=key)
        return value


def encode_id(email_id: str) -> str:
    """Return an id as one path segment: all but letters, digits, `-` and `_` is percent-encoded, even dots."""
    if _SAFE_ID.fullmatch(email_id):
        return email_id
    raw = email_id.encode("utf-8", "surrogatepass")
    return quote(raw, safe="").replace(".", "%2E")


def _plain(answer: Response) -> bytes | bytearray:
    body = _body_of(answer)
    assert not isinstance(body, Spool)
    return body


def _body_of(answer: Response) -> bytes | bytearray | Spool:
    """Return the body of a 2xx answer; raise what any other status means."""
    if not 200 <= answer.status < 300:
        _raise_for_status(answer)
        raise _AccountTrouble(f"FakeMail answered with status {answer.status}", dependency=_NAME)
    return answer.decoded()


def _raise_for_status(answer: Response) -> None:
    """Raise for the statuses that mean the same on every call."""
    status, after = answer.status, answer.headers.get("retry-after")
    if status == 429 or (status == 503 and after is not None):
        seconds = retry_after(after, time.time())
        raise Throttled(f"FakeMail asks us to wait (status {status})", dependency=_NAME, retry_after=seconds)
    if status in (401, 403):
        raise _AccountTrouble(f"FakeMail refused the token (status {status})", dependency=_NAME)
    if status in (407, 408, 421, 425) or status in _GATEWAY_STATUSES:
        raise _AccountTrouble(f"FakeMail answered with status {status}", dependency=_NAME)
    if 300 <= status < 400:
        raise DependencyTrouble(f"FakeMail redirects (status {status}), which is not followed", dependency=_NAME)
    if status >= 500:
        raise DependencyTrouble(f"FakeMail answered with status {status}", dependency=_NAME)


def _trouble(error: Garbled | TransportError) -> DependencyTrouble:
    kind = _AccountTrouble if isinstance(error, Unreachable) else DependencyTrouble
    return kind(f"FakeMail: {error}", dependency=_NAME)


def _refuse(refused: Refused) -> NoReturn:
    if refused.throttled:
        raise Throttled("FakeMail asked us to wait", dependency=_NAME, retry_after=refused.wait) from None
    message = "FakeMail failed several times in a row: it is left alone for a while"
    raise CircuitOpen(message, dependency=_NAME, retry_after=refused.wait) from None
