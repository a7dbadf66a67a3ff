"""One request's way through a route: access, parsing, the handler, the answer; and how every error is answered.

web/routes.py lists the routes, web/app.py registers each of them through `endpoint`. A handler gets a `Call` and the
path's arguments. It returns a Struct or dict (JSON, 200) or an `Answer`, or raises `Problem`.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, urlencode

import bottle
import gevent
import msgspec

from web.accept import prefers_html
from web.auth import SAFE_METHODS
from web.problems import JSON_MEDIA, Problem, from_error
from web.server_body import Environ, StartResponse, raw_path
from web.server_problems import PROBLEM_MEDIA
from web.services import Services
from web.sources import check_sources
from web.validation import read_model, read_query

if TYPE_CHECKING:
    from web.app import Application

log = logging.getLogger(__name__)

FORM_MEDIA = "application/x-www-form-urlencoded"
UNRESERVED = re.compile(r"%(2[dDeE]|3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aAeE])")

Headers = tuple[tuple[str, str], ...]
AccessKind = Literal["public", "page", "read", "full", "metrics"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is not plain JSON with 200. `body`: bytes are sent unchanged, None is empty, all else is JSON."""

    body: Any = None
    status: int = 200
    headers: Headers = ()
    media: str = JSON_MEDIA


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the route table. `answers` maps a status to its model (None: no JSON, see `media`)."""

    method: str
    path: str  # parameters in braces, as in OpenAPI
    handler: Callable[..., Any]
    summary: str
    tag: str
    answers: Mapping[int, Any]
    access: AccessKind = "read"
    request: Any = None
    query: Any = None
    media: str = JSON_MEDIA  # of the answers; */*: of any file
    page_too: bool = False  # a browser gets a page instead
    problems: tuple[int, ...] = ()
    any_media: bool = False  # the handler reads the body itself
    may_be_empty: bool = False  # no body means {}
    form: Any = None  # the model of that body, sent as JSON or as a form
    acts: bool = True  # record it in the action log, if the method is unsafe and access `full`


@dataclass(slots=True)
class Call:
    """One request as a handler sees it: `query` and `body` are validated instances of the route's models."""

    app: "Application"
    route: Route
    environ: Environ
    query: Any = None
    body: Any = None
    raw: bytes = field(default=b"", repr=False)

    @property
    def services(self) -> Services:
        """The stores and clients."""
        return self.app.services

    def header(self, name: str) -> str:
        """Return a request header by its WSGI name without HTTP_."""
        return str(self.environ.get(f"HTTP_{name}", ""))

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters."""
        return str(self.environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()

    def with_query(self, **changed: str) -> str:
        """Return the path and query of this request with some query values changed."""
        query = {**dict(parse_qsl(self.environ.get("QUERY_STRING", ""))), **changed}
        return f"{raw_path(self.environ)}?{urlencode(query)}"

    @property
    def wants_html(self) -> bool:
        """Whether the client prefers a page to JSON."""
        return prefers_html(self.header("ACCEPT"))


def endpoint(route: Route, app: "Application") -> Callable[..., bottle.HTTPResponse]:
    """Return the callback that bottle runs for this route."""

    def run(**arguments: str) -> bottle.HTTPResponse:
        environ = bottle.request.environ
        try:
            app.gate.admit(environ, route.access)
            call = Call(app, route, environ)
            _read(call)
            response = respond(route.handler(call, **arguments))
            if route.access == "full" and route.acts and route.method not in SAFE_METHODS:
                app.actions.note(call, response.status_code)
            return response
        except (Exception, gevent.Timeout) as error:  # noqa: BLE001  (the edge: whatever it is, the client gets an answer)
            return error_response(error, environ)

    return run


def _read(call: Call) -> None:
    """Check the query and the body against the route's models."""
    route, environ = call.route, call.environ
    if route.query is not None:
        call.query = read_query(environ.get("QUERY_STRING", ""), route.query)
    if route.method not in SAFE_METHODS and "wsgi.input" in environ:
        call.raw = environ["wsgi.input"].read()
        if not route.any_media:
            _check_media(call)
        if route.request is not None:
            call.body = read_model(call.raw or (b"{}" if route.may_be_empty else b""), route.request)
    check_sources(call.services, call.query, call.body, path=route.path)


def _check_media(call: Call) -> None:
    """Require a JSON body; a request that needs no body may come without one."""
    wanted = call.route.request is not None and not call.route.may_be_empty
    if (call.raw or wanted) and call.content_type != JSON_MEDIA:
        said = f"the body must be {JSON_MEDIA}" if call.raw else f"a body is required, with Content-Type: {JSON_MEDIA}"
        raise Problem(415, said, headers=(("Accept", JSON_MEDIA),))


def respond(value: Any) -> bottle.HTTPResponse:
    """Turn what a handler returned into a response."""
    answer = value if isinstance(value, Answer) else Answer(value)
    body, headers = answer.body, list(answer.headers)
    if body is not None and not isinstance(body, bytes):
        body = msgspec.json.encode(body)
    if body is not None:
        headers.append(("Content-Type", answer.media))
    return _response(body or b"", answer.status, headers)


def error_response(error: BaseException, environ: Environ) -> bottle.HTTPResponse:
    """Turn an error into a response; a browser that opens a page is redirected to /login instead of seeing a 401."""
    if isinstance(error, Problem) and error.status == HTTPStatus.UNAUTHORIZED and _is_page_view(environ):
        return _response(b"", HTTPStatus.SEE_OTHER, [("Location", "/login"), ("Vary", "Accept")])
    return problem_response(error, environ)


def problem_response(error: BaseException, environ: Environ) -> bottle.HTTPResponse:
    """Turn an error into a problem response; an unexpected error is logged with its traceback."""
    problem = from_error(error)
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("Request failed: %s %s", environ["REQUEST_METHOD"], raw_path(environ), exc_info=error)
    body = problem.body(request_id(environ), raw_path(environ))
    return _response(body, problem.status, [*problem.headers, ("Content-Type", PROBLEM_MEDIA)])


def send(
    response: bottle.HTTPResponse, environ: Environ, start_response: StartResponse, headers: Headers = ()
) -> list[bytes]:
    """Send a response by WSGI, bypassing bottle's router."""
    start_response(response.status_line, [*response.headerlist, *headers])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]


def _is_page_view(environ: Environ) -> bool:
    return environ["REQUEST_METHOD"] in SAFE_METHODS and prefers_html(environ.get("HTTP_ACCEPT", ""))


def page_answer(call: Call, items: list[dict[str, Any]], cursor: str | None, lag: int | None = None) -> Answer:
    """Return one page of a list; the Link header has the address of the next one."""
    headers = ((("Link", f'<{call.with_query(cursor=cursor)}>; rel="next"'),)) if cursor else ()
    body: dict[str, Any] = {"items": items, "next_cursor": cursor}
    if lag is not None:
        body["index_lag"] = lag
    return Answer(body, headers=headers)


def request_id(environ: Environ) -> str:
    """Return the id of this request, as in the log."""
    return str(environ.get("emailproc.request_id", ""))


def routable(environ: Environ) -> str:
    """Return the path as requested, percent-encoded, so that %2F is no slash; unreserved characters are decoded."""
    path = raw_path(environ)
    return UNRESERVED.sub(lambda match: chr(int(match[1], 16)), path) if "%" in path else path


def _response(body: bytes, status: int, headers: list[tuple[str, str]]) -> bottle.HTTPResponse:
    response = bottle.HTTPResponse(body, status)
    if status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        response.set_header("Content-Length", str(len(body)))
    for name, value in headers:
        response.add_header(name, value)
    return response
