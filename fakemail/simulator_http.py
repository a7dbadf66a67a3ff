"""The simulator over HTTP: a plain WSGI application with its routes in two tables.

web/app.py mounts it under /simulator, in front of bottle (which decodes paths lossily); `run.py simulator` serves it
alone, there also without the prefix. Email ids are taken from PATH_INFO as bytes, as the server unquoted them. The
request id is the one that the server has validated and puts into the header.
"""

import json
import random
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

import apsw

from engine.turns import breathe
from fakemail.answers import MAX_HISTORY_ID
from fakemail.faults import GARBAGE, NONE, Faults
from fakemail.opinion import opinion
from fakemail.simulator import Simulator
from fakemail.simulator_requests import (
    BadRequest,
    OpinionRequest,
    SubscribeRequest,
    read,
    read_batch,
    read_new_email,
    write,
)
from fakemail.template_emails import TEMPLATE_EMAILS

LARGEST_REQUEST = 64 * 1024 * 1024
Environ = dict[str, Any]
StartResponse = Callable[..., Any]
_STATUSES = {
    200: "200 OK",
    400: "400 Bad Request",
    404: "404 Not Found",
    405: "405 Method Not Allowed",
    413: "413 Content Too Large",
    415: "415 Unsupported Media Type",
    422: "422 Unprocessable Content",
    429: "429 Too Many Requests",
    500: "500 Internal Server Error",
    503: "503 Service Unavailable",
}


class _Problem(Exception):
    def __init__(
        self, status: int, detail: str, headers: dict[str, str] | None = None, field: str | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}
        self.field = field


class _App:
    """The WSGI application; each route's function takes the environ and returns a JSON value, bytes or an iterator."""

    def __init__(self, simulator: Simulator, prefix: str, *, bare: bool) -> None:
        self._simulator = simulator
        self._prefix = prefix
        self._bare = bare
        self._find = simulator.find
        self._strike = simulator.strike
        self._calls = {
            ("POST", "/watch"): self._watch,
            ("POST", "/subscribe"): self._subscribe,
            ("GET", "/emails"): self._listing,
            ("POST", "/classify"): self._classify,
        }
        self._controls = {
            ("POST", "/send_email"): self._send_email,
            ("POST", "/send_batch"): self._send_batch,
            ("GET", "/status"): lambda _: simulator.status(),
            ("POST", "/reset"): self._reset,
            ("GET", "/template-emails"): lambda _: {"emails": TEMPLATE_EMAILS},
            ("GET", "/faults"): lambda _: simulator.faults,
            ("PUT", "/faults"): self._set_faults,
            ("DELETE", "/faults"): self._no_faults,
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            content = self._answer(environ)
        except _Problem as problem:
            return _send_problem(environ, start_response, problem)
        except BadRequest as error:
            return _send_problem(environ, start_response, _Problem(error.status, str(error), field=error.field))
        except apsw.Error as error:
            away = _Problem(503, f"The account cannot be read or written: {error}", {"Retry-After": "1"})
            return _send_problem(environ, start_response, away)
        if isinstance(content, Iterator):
            start_response("200 OK", [("Content-Type", "application/json")])
            return [] if environ["REQUEST_METHOD"] == "HEAD" else content
        body = content if isinstance(content, bytes) else write(content)
        return _send(environ, start_response, 200, body, [])

    def _answer(self, environ: Environ) -> Any:
        path = environ["PATH_INFO"]
        if path.startswith(self._prefix + "/"):
            path = path[len(self._prefix) :]
        elif not self._bare:
            raise _Problem(404, "There is no such resource.")
        method = environ["REQUEST_METHOD"]
        method = "GET" if method == "HEAD" else method
        if path.startswith("/email/"):
            if method != "GET":
                raise _Problem(405, "An email can only be read.", {"Allow": "GET, HEAD"})
            return self._email(path[7:].encode("latin-1"))
        if (call := self._calls.get((method, path))) is not None:
            garbage = self._struck()
            return call(environ) if garbage is None else garbage
        if (control := self._controls.get((method, path))) is not None:
            return control(environ)
        raise self._unknown(path)

    def _unknown(self, path: str) -> _Problem:
        allowed = {method for method, known in [*self._calls, *self._controls] if known == path}
        if not allowed:
            return _Problem(404, "There is no such resource.")
        allowed |= {"HEAD"} if "GET" in allowed else set()
        return _Problem(405, "This resource does not support this method.", {"Allow": ", ".join(sorted(allowed))})

    def _struck(self) -> bytes | None:
        """Return None, or garbage to answer with; raise other faults as problems."""
        fault = self._strike()
        if fault == "error":
            raise _Problem(500, "A simulated fault.")
        if fault == "rate_limit":
            raise _Problem(429, "A simulated fault.", {"Retry-After": "1"})
        return random.choice(GARBAGE) if fault == "garbage" else None

    # The five calls of FakeMail.

    def _email(self, email_id: bytes) -> bytes:
        garbage = self._struck()
        if garbage is not None:
            return garbage
        document = self._find(email_id)
        if document is None:
            raise _Problem(404, "There is no email with this id.")
        return document

    def _watch(self, _environ: Environ) -> dict[str, int]:
        return {"history_id": self._simulator.watch()}

    def _subscribe(self, environ: Environ) -> dict[str, str]:
        url = read(SubscribeRequest, _body(environ)).webhook_url
        try:
            self._simulator.subscribe(url)
        except ValueError as error:
            raise BadRequest(422, f"webhook_url: {error}.", "webhook_url") from error
        return {"status": "ok"}

    def _listing(self, environ: Environ) -> bytes | Iterator[bytes]:
        text = parse_qs(environ.get("QUERY_STRING", "")).get("from_history_id", ["0"])[-1]
        if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MAX_HISTORY_ID):
            said = f"it must be a whole number from 0 to {MAX_HISTORY_ID}"
            raise _Problem(400, f"from_history_id: {said}.", field="from_history_id")
        slices = self._simulator.listing(int(text))
        first = next(slices, [])
        second = next(slices, None)
        if second is None:
            return b"[" + _ids(first) + b"]"
        return _stream(first, second, slices)

    def _classify(self, environ: Environ) -> dict[str, Any]:
        content = read(OpinionRequest, _body(environ))
        classification, confidence = opinion(content.subject, content.body)
        return {"classification": classification, "confidence": confidence}

    # The control calls.

    def _send_email(self, environ: Environ) -> dict[str, Any]:
        sent = self._simulator.send([read_new_email(_body(environ))])
        return {"email_id": sent.email_ids[0], "history_id": sent.history_id}

    def _send_batch(self, environ: Environ) -> dict[str, Any]:
        sent = self._simulator.send(read_batch(_body(environ)))
        return {"email_ids": sent.email_ids, "history_id": sent.history_id}

    def _reset(self, _environ: Environ) -> dict[str, Any]:
        self._simulator.reset()
        return {"status": "ok", "history_id": 0}

    def _set_faults(self, environ: Environ) -> Faults:
        self._simulator.set_faults(read(Faults, _body(environ)))
        return self._simulator.faults

    def _no_faults(self, _environ: Environ) -> Faults:
        self._simulator.set_faults(NONE)
        return NONE


def simulator_app(simulator: Simulator, *, prefix: str = "/simulator", bare: bool = False) -> _App:
    """Return the simulator's application under `prefix`; with `bare` it also answers without the prefix."""
    return _App(simulator, prefix, bare=bare)


def _body(environ: Environ) -> bytes:
    """Return the request's body, which must be declared as JSON and not be too large."""
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _Problem(415, "The body must be application/json.")
    if int(environ.get("CONTENT_LENGTH") or 0) <= LARGEST_REQUEST:
        body: bytes = environ["wsgi.input"].read(LARGEST_REQUEST + 1)
        if len(body) <= LARGEST_REQUEST:
            return body
    raise _Problem(413, f"The body has more than {LARGEST_REQUEST} bytes.", {"Connection": "close"})


def _ids(ids: list[bytes]) -> bytes:
    return json.dumps([email_id.decode("utf-8", "surrogatepass") for email_id in ids])[1:-1].encode()


def _stream(first: list[bytes], second: list[bytes], rest: Iterator[list[bytes]]) -> Iterator[bytes]:
    yield b"[" + _ids(first)
    yield b", " + _ids(second)
    for ids in rest:
        breathe()
        yield b", " + _ids(ids)
    yield b"]"


def _send(
    environ: Environ, start_response: StartResponse, status: int, body: bytes, headers: list[tuple[str, str]]
) -> list[bytes]:
    kind = "application/json" if status == 200 else "application/problem+json"
    start_response(_STATUSES[status], [("Content-Type", kind), ("Content-Length", str(len(body))), *headers])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _send_problem(environ: Environ, start_response: StartResponse, problem: _Problem) -> list[bytes]:
    request_id = environ.get("emailproc.request_id") or uuid.uuid4().hex
    content = {
        "type": "about:blank",
        "title": _STATUSES[problem.status][4:],
        "status": problem.status,
        "detail": str(problem),
        "request_id": request_id,
    }
    if problem.field is not None:
        content["field"] = problem.field
    return _send(environ, start_response, problem.status, write(content), list(problem.headers.items()))
