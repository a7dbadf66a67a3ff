"""What a worker node answers on STATUS_PORT: `/health*` and `/metrics`, and nothing else.

Opened by commands/process.py in the node's first process, before its stores; until `enter` it says what is waited for.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from web.auth import Gate
from web.cached import Probe
from web.dispatch import raw_path, request_id
from web.health import HEALTHY, KEEP_S, PATIENCE_S, UNHEALTHY, component, overall
from web.problems import JSON_MEDIA, MEDIA, RETRY_AFTER_S, Problem, from_error, retry_after
from web.server import HardenedServer, serve
from web.server_body import Environ, StartResponse
from web.server_problems import status_line
from web.services import Access
from web.system import METRICS_MEDIA
from web.waiting import WaitingRoom

LARGEST_BODY = 1024


class NodeStatus:
    """A WSGI application; `room` answers until `enter`."""

    def __init__(self, room: WaitingRoom, access: Access) -> None:
        self.room, self.gate = room, Gate(access)
        self.probes: dict[str, Probe[float]] = {}
        self.unready: Callable[[], str | None] = lambda: None
        self.metrics: Callable[[], bytes] = bytes

    def open(self, host: str, port: int) -> HardenedServer:
        """Listen; SettingsError when the address cannot be had."""
        return serve(self, host, port, body_cap=LARGEST_BODY, setting="STATUS_PORT")

    def enter(
        self,
        checks: Mapping[str, Callable[[], float]],
        *,
        unready: Callable[[], str | None],
        metrics: Callable[[], bytes],
    ) -> None:
        """The stores are there. `checks`: of redis and database, by name."""
        self.unready, self.metrics = unready, metrics
        self.probes = {name: Probe(check, keep=KEEP_S, patience=PATIENCE_S) for name, check in checks.items()}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if not self.probes and environ["PATH_INFO"] != "/metrics":
            return self.room(environ, start_response)
        try:
            status, body, media, headers = self._answer(environ)
        except Exception as error:  # noqa: BLE001  (the edge: whatever it is, the client gets an answer)
            problem = from_error(error)
            status, media, headers = problem.status, MEDIA, list(problem.headers)
            body = problem.body(request_id(environ), raw_path(environ))
        plain = [("Content-Type", media), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
        start_response(status_line(status), [*plain, *headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: Environ) -> tuple[int, bytes, str, list[tuple[str, str]]]:
        path = environ["PATH_INFO"].rstrip("/")
        if path not in ("/health", "/health/live", "/health/ready", "/metrics"):
            raise Problem(404, "a worker node answers /health, /health/live, /health/ready and /metrics")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            raise Problem(405, "this can only be read", headers=(("Allow", "GET, HEAD"),))
        if path == "/metrics":
            self.gate.admit(environ, "metrics")
            return 200, self.metrics(), METRICS_MEDIA, []
        if path == "/health/live":
            return 200, b'{"status":"alive"}', JSON_MEDIA, []
        return _json(self._ready() if path == "/health/ready" else self._health())

    def _ready(self) -> dict[str, Any]:
        reason = self.unready() or self._components()["redis"].get("reason")
        return {"status": "not ready", "reason": reason} if reason else {"status": "ready"}

    def _health(self) -> dict[str, Any]:
        components = self._components()
        reason = self.unready()
        actors: dict[str, Any] = {"status": UNHEALTHY, "reason": reason} if reason else {"status": HEALTHY}
        components["actors"] = {"latency_ms": None, **actors}
        metrics = {"node": self.room.node, "uptime_seconds": round(time.time() - self.room.since, 1)}
        status = overall(components)
        return {"status": status, "version": self.room.version, "components": components, "metrics": metrics}

    def _components(self) -> dict[str, dict[str, Any]]:
        for probe in self.probes.values():
            probe.start()
        return {name: component(*probe.latest()) for name, probe in self.probes.items()}


def _json(body: dict[str, Any]) -> tuple[int, bytes, str, list[tuple[str, str]]]:
    well = body["status"] not in (UNHEALTHY, "not ready")
    return 200 if well else 503, msgspec.json.encode(body), JSON_MEDIA, [] if well else [retry_after(RETRY_AFTER_S)]
