"""The web application: the WSGI callable that serves web/routes.py, and the background work beside the requests.

commands/front.py builds `Application(services)`; the waiting room (web/waiting.py) puts it into the hardened server.
The webhook bypasses bottle's router, and the simulator is an application of its own; everything else is a Route.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any
from urllib.parse import unquote_to_bytes

import bottle
import gevent
import msgspec

from engine.loops import keep_doing
from engine.turns import off_the_hub
from storage.actions import Actions
from storage.sessions import EndedSessions
from web import actions, live_client
from web.auth import SAFE_METHODS, SMALL_BODY, Gate, cap_before_reading
from web.dispatch import Headers, endpoint, error_response, routable, send
from web.figures import Figures, queue_of, settled
from web.health import Health
from web.live import QUEUE, STATS
from web.openapi import NUMBERS, PARAMETER, document
from web.problems import Problem
from web.routes import OPEN, ROUTES
from web.server import HardenedServer
from web.server_body import Environ, StartResponse, cap_by_path
from web.services import Access, Services
from web.webhook import Webhook
from web.websocket import LiveSocket
from web.websocket_frames import POLICY

API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
COMMON: Headers = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
DEFAULTS: Headers = (("Cache-Control", "no-store"), ("Content-Security-Policy", API_POLICY))
PUSH_EVERY_S = 1.0
SESSIONS_EVERY_S = 2.0
HEALTH_EVERY_S = 5.0
SOCKETS_AT_ONCE = 50
SOCKET_PATH = re.compile(r"/ws/emails/[^/]+")
FILTERS = {"path": "rest", **dict.fromkeys(NUMBERS, "number")}
"""The router's filter for each path parameter. A number takes digits only, so a word there may be a path of its own."""
NUMBERED = frozenset(route.path.split("/")[1] for route in ROUTES if {*PARAMETER.findall(route.path)} & {*NUMBERS})
"""The first path segments after which a number identifies an item."""
PATHS = frozenset(route.path for route in ROUTES)
NOTED_OF_SIMULATOR = {"/simulator/reset", "/simulator/faults"}
PREFLIGHT: Headers = (
    ("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id"),
    ("Access-Control-Max-Age", "600"),
)
KIB, MIB = 1024, 1024 * 1024
BODY_CAP = cap_by_path(
    SMALL_BODY, {"/login": 8 * KIB, "/classify": 4 * MIB, "/dead-letters": MIB, "/simulator": 64 * MIB}
)


class Application:
    """The processor over HTTP, as a WSGI application."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.gate = Gate(services.access, EndedSessions(services.database), services.refused)
        self.actions = actions.ActionLog(Actions(services.database), self.gate)
        self.routes = ROUTES
        self.figures = Figures(services)
        self.health = Health(services)
        self.bottle = self._register()
        self.webhook = Webhook(services, (*COMMON, *DEFAULTS), self.gate.limits)
        self._sockets: set[LiveSocket] = set()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if method == "POST" and (path == "/webhook" or path.startswith("/webhook/")):
            return self.webhook(environ, start_response)
        start = self._with_common_headers(environ, start_response)
        if method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ and self.gate.allows_origin(environ):
            start("204 No Content", list(PREFLIGHT))
            return []
        if self.services.simulator is not None and (path == "/simulator" or path.startswith("/simulator/")):
            return self._simulate(environ, start)
        environ["PATH_INFO"] = routable(environ)
        return self.bottle.wsgi(environ, start)  # type: ignore[no-any-return]  # bottle is untyped

    def body_cap(self, environ: Environ) -> int:
        """Return the largest body allowed. Without access, a large body raises Refusal before it is read."""
        return cap_before_reading(environ, BODY_CAP(environ), partial(self.gate.identify, environ, "read"))

    def use(self, access: Access, secrets: Mapping[str, tuple[str, ...]]) -> None:
        """Replace the tokens, and the webhook secrets of each source."""
        self.services.access = access
        self.services.sources = {
            name: replace(source, secrets=secrets[name]) for name, source in self.services.sources.items()
        }
        self.gate.use(access)

    @cached_property
    def openapi(self) -> bytes:
        """The description of this API as JSON. Made when it is first wanted, since that takes longer than a start may."""
        return bytes(off_the_hub(_described, self.services.version))

    # -- WebSockets

    def authorize(self, environ: Environ) -> None:
        """Check a WebSocket upgrade before the handshake; raises Problem if it is not allowed."""
        if SOCKET_PATH.fullmatch(routable(environ)) is None:
            raise Problem(404, "there is no WebSocket at this path")
        self.gate.authorize(environ)

    def on_websocket(self, socket: LiveSocket) -> None:
        """Serve one client until it disconnects."""
        self._sockets.add(socket)
        try:
            live_client.serve(self.services.hub, socket, self.figures.stats, partial(self._too_often, socket.environ))
        finally:
            self._sockets.discard(socket)

    def _too_often(self, environ: Environ) -> str | None:
        """Count a costly WebSocket command like a call of the API; return why it is refused, or None."""
        try:
            self.gate.limits.check("api", environ)
        except Problem as problem:
            return problem.detail
        return None

    def push(self, server: HardenedServer) -> None:
        """Run the background work until the server drains: pushes (in this greenlet), session and health checks."""
        keep = partial(keep_doing, until=lambda: server.draining)
        gevent.spawn(keep, self._look_after_sessions, SESSIONS_EVERY_S, "ended sessions")
        gevent.spawn(keep, self.health.look_again, HEALTH_EVERY_S, "the look at what was not well")
        keep(partial(self._push, {}), PUSH_EVERY_S, "the figures for live clients")

    def _look_after_sessions(self) -> None:
        """Learn which sessions other fronts ended; close the WebSockets of clients no longer admitted."""
        try:
            self.gate.sessions.refresh()
        finally:  # sessions that expired or ended here are over even if the database is away
            self._hang_up()

    def _hang_up(self) -> None:
        for count, socket in enumerate(list(self._sockets), start=1):
            if not self.gate.still_welcome(socket.environ):
                socket.close(POLICY, "the session has ended")
            if count % SOCKETS_AT_ONCE == 0:
                gevent.sleep(0.001)

    def _push(self, sent: dict[str, dict[str, Any]]) -> None:
        """Push figures that changed since they were `sent`, if anybody listens."""
        hub = self.services.hub
        wanted = [topic for topic in (STATS, QUEUE) if hub.wanted(topic)]
        stats = self.figures.stats() if wanted else {}
        for topic in wanted:
            data = stats if topic == STATS else queue_of(stats)
            if settled(data) != sent.get(topic):
                sent[topic] = settled(data)
                hub.push(topic, msgspec.json.encode(live_client.stats_message(topic, data)))

    # -- requests

    def _register(self) -> bottle.Bottle:
        app = bottle.Bottle()
        app.router.add_filter("segment", lambda _: (r"[^/]+", unquote_segment, None))
        app.router.add_filter("number", lambda _: (r"[0-9]+", unquote_segment, None))
        app.router.add_filter("rest", lambda _: (r".+", unquote_segment, None))
        app.default_error_handler = self._routing_error
        for route in ROUTES:
            rule = PARAMETER.sub(lambda match: f"<{match[1]}:{FILTERS.get(match[1], 'segment')}>", route.path)
            app.route(rule, route.method, endpoint(route, self), skip=True)
        return app

    def _routing_error(self, error: bottle.HTTPError) -> bottle.HTTPResponse:
        """Answer an error of bottle's router with a problem. Outside OPEN, only a client with read access sees it."""
        environ = bottle.request.environ
        try:
            self.gate.limits.check("api", environ)
            if environ["PATH_INFO"].split("/")[1:2] not in [[name] for name in OPEN]:
                self.gate.identify(environ, "read")
        except Problem as problem:
            return error_response(problem, environ)
        if error.status_code == 405:
            allowed = ", ".join(sorted({*error.get_header("Allow").split(","), *_implied(error)}))
            return error_response(
                Problem(405, f"this path accepts only {allowed}", headers=(("Allow", allowed),)), environ
            )
        if error.status_code == 400:
            return error_response(Problem(400, "the path cannot be read"), environ)
        return error_response(_nothing_at(environ["PATH_INFO"]) if error.status_code == 404 else error, environ)

    def _simulate(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        """Pass the request to the simulator if the client has access."""
        try:
            kind = "read" if environ["REQUEST_METHOD"] in SAFE_METHODS else "full"
            self.gate.admit(environ, kind, counted=False)  # most of its calls come from this system
        except Problem as problem:
            return send(error_response(problem, environ), environ, start)
        assert self.services.simulator is not None
        return self.services.simulator(environ, self._noting(environ, start))

    def _noting(self, environ: Environ, start: Callable[..., Any]) -> Callable[..., Any]:
        """Record calls that change the simulator for everybody in the action log, once they have succeeded."""
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] in SAFE_METHODS or path not in NOTED_OF_SIMULATOR:
            return start

        def noting(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if status.startswith("200"):
                self.actions.write(environ, path, {}, 200)
            return start(status, headers, exc_info)

        return noting

    def _with_common_headers(self, environ: Environ, start_response: StartResponse) -> Callable[..., Any]:
        extra = list(COMMON)
        if "HTTP_ORIGIN" in environ and self.gate.allows_origin(environ):
            extra += [("Access-Control-Allow-Origin", environ["HTTP_ORIGIN"]), ("Vary", "Origin")]
            extra.append(("Access-Control-Expose-Headers", "Link, Location, Retry-After, X-Request-Id"))

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            present = {name.lower() for name, _ in headers}
            missing = [each for each in (*extra, *DEFAULTS) if each[0].lower() not in present]
            return start_response(status, [*headers, *missing], exc_info)

        return start


def _nothing_at(path: str) -> Problem:
    """Return the 404 for a path that no route has; where it should have a number, it says so."""
    first, second = (*path.split("/"), "", "")[1:3]
    meant = first in NUMBERED and second and not second.isdigit() and f"/{first}/{second}" not in PATHS
    hint = f": an id in /{first} consists of digits" if meant else ""
    return Problem(404, "there is nothing at this path" + hint)


def _described(version: str) -> bytes:
    return msgspec.json.encode(document(ROUTES, version))


def unquote_segment(text: str) -> str:
    """Return a segment of a routable path, decoded; raises ValueError (answered with 400) if it is not UTF-8."""
    return unquote_to_bytes(text).decode("utf-8", "surrogatepass")


def _implied(error: bottle.HTTPError) -> tuple[str, ...]:
    return ("HEAD",) if "GET" in error.get_header("Allow") else ()
