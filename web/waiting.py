"""The server's application from its first moment: it answers while stores are awaited, then lets the processor's in.

commands/process.py opens it before anything that may have to wait. Until `enter`, `/health*` says what is awaited (the
reason only to callers with read access); all other requests, webhooks included, get a 503 with Retry-After.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import gevent

from web.app import COMMON, DEFAULTS, Application
from web.auth import SMALL_BODY, Gate
from web.dispatch import problem_response, respond, send
from web.health import DEGRADED, HEALTH_PATHS, HEALTHY, UNHEALTHY, health_answer, health_body
from web.limits import Limits
from web.problems import RETRY_AFTER_S, Problem
from web.server import HardenedServer, serve
from web.server_body import Environ, StartResponse
from web.server_problems import retry_after
from web.services import Access
from web.websocket import LiveSocket

NOT_YET = "the system starts when redis and database are there"


class WaitingRoom:
    """`waits`: what is away now, dependency → reason, kept up to date by the code that opens the stores."""

    def __init__(self, *, version: str, node: str, waits: Mapping[str, str], access: Access) -> None:
        self.version, self.node, self.waits = version, node, waits
        self.gate = Gate(access)
        self.application: Application | None = None
        self.since = time.time()

    def open(self, host: str, port: int) -> HardenedServer:
        """Listen; raises SettingsError if the address is unavailable."""
        self.server = serve(
            self,
            host,
            port,
            limits=Limits(proxies=self.gate.access.trusted_proxies),
            body_cap=self.body_cap,
            authorize_websocket=self.authorize,
            on_websocket=self.on_websocket,
        )
        return self.server

    def enter(self, application: Application) -> None:
        """Pass all requests to the application from now on: everything is there."""
        self.application = application
        gevent.spawn(application.push, self.server)

    def close(self, grace: float) -> None:
        """Stop the server: held requests are answered now, those in progress within `grace` seconds."""
        if self.application is not None:
            self.application.services.hub.let_go()
        self.server.shutdown(grace)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if self.application is not None:
            return self.application(environ, start_response)
        if environ["REQUEST_METHOD"] in ("GET", "HEAD") and environ["PATH_INFO"].rstrip("/") in HEALTH_PATHS:
            response = respond(health_answer(environ, self.gate, self._health, lambda: self.reason))
        else:
            response = problem_response(self._not_yet(), environ)
        return send(response, environ, start_response, (*DEFAULTS, *COMMON))

    def body_cap(self, environ: Environ) -> int:
        """Return the largest body allowed."""
        return SMALL_BODY if self.application is None else self.application.body_cap(environ)

    def authorize(self, environ: Environ) -> None:
        """Check a WebSocket upgrade before the handshake."""
        if self.application is None:
            raise self._not_yet()
        self.application.authorize(environ)

    def on_websocket(self, socket: LiveSocket) -> None:
        """Serve one client."""
        assert self.application is not None
        self.application.on_websocket(socket)

    @property
    def reason(self) -> str:
        """What is awaited, in one line."""
        return "; ".join(f"waiting for {name}: {why}" for name, why in self.waits.items()) or "it is starting"

    def _not_yet(self) -> Problem:
        """Return the 503 for strangers: no reasons, since these name hosts and files."""
        waits = f"not started yet: {', '.join(self.waits) or 'a moment'}"
        return Problem(503, waits, headers=(retry_after(RETRY_AFTER_S),))

    def _health(self) -> dict[str, Any]:
        components = {name: self._component(name) for name in ("redis", "database")}
        later = {"status": DEGRADED, "latency_ms": None, "reason": NOT_YET}
        components |= {"fakemail": later, "actors": later}
        return health_body(components, version=self.version, node=self.node, since=self.since)

    def _component(self, name: str) -> dict[str, Any]:
        reason = self.waits.get(name)
        return {"status": HEALTHY if reason is None else UNHEALTHY, "latency_ms": None, "reason": reason}
