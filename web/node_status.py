"""What a worker node serves on STATUS_PORT: `/health*` and `/metrics`, and nothing else.

commands/process.py opens it in the node's first process, before its stores; until `enter` it says what the node waits
for.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gevent

from web.app import COMMON, DEFAULTS
from web.cached import Probe
from web.dispatch import Answer, problem_response, respond, send
from web.health import HEALTH_PATHS, HEALTHY, KEEP_S, PATIENCE_S, UNHEALTHY, component, health_answer, health_body
from web.problems import Problem
from web.server import HardenedServer, serve
from web.server_body import Environ, StartResponse
from web.system import METRICS_MEDIA
from web.waiting import WaitingRoom

LARGEST_BODY = 1024


class NodeStatus:
    """A WSGI application; `room` answers until `enter` is called."""

    def __init__(self, room: WaitingRoom) -> None:
        self.room = room
        self.probes: dict[str, Probe[float]] = {}
        self.unready: Callable[[], str | None] = lambda: None
        self.metrics: Callable[[], bytes] = bytes

    def open(self, host: str, port: int) -> HardenedServer:
        """Listen; raises SettingsError if the address is unavailable."""
        return serve(self, host, port, body_cap=LARGEST_BODY, setting="STATUS_PORT")

    def enter(
        self,
        checks: Mapping[str, Callable[[], float]],
        *,
        unready: Callable[[], str | None],
        metrics: Callable[[], bytes],
    ) -> None:
        """Begin to answer, now that the stores are there. `checks`: those of redis and database, by name."""
        self.unready, self.metrics = unready, metrics
        self.probes = {name: Probe(check, keep=KEEP_S, patience=PATIENCE_S) for name, check in checks.items()}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if not self.probes and environ["PATH_INFO"] != "/metrics":
            return self.room(environ, start_response)
        try:
            response = respond(self._answer(environ))
        except (Exception, gevent.Timeout) as error:  # noqa: BLE001  (the edge: whatever it is, the client gets an answer)
            response = problem_response(error, environ)
        return send(response, environ, start_response, (*DEFAULTS, *COMMON))

    def _answer(self, environ: Environ) -> Answer:
        path = environ["PATH_INFO"].rstrip("/")
        if path not in (*HEALTH_PATHS, "/metrics"):
            raise Problem(404, "a worker node answers /health, /health/live, /health/ready and /metrics")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            raise Problem(405, "this can only be read", headers=(("Allow", "GET, HEAD"),))
        if path == "/metrics":
            self.room.gate.admit(environ, "metrics")
            return Answer(self.metrics(), media=METRICS_MEDIA)
        return health_answer(environ, self.room.gate, self._health, self._not_ready)

    def _not_ready(self) -> str | None:
        return self.unready() or component(*self.probes["redis"].latest()).get("reason")

    def _health(self) -> dict[str, Any]:
        components = self._components()
        reason = self.unready()
        actors: dict[str, Any] = {"status": UNHEALTHY, "reason": reason} if reason else {"status": HEALTHY}
        components["actors"] = {"latency_ms": None, **actors}
        return health_body(components, version=self.room.version, node=self.room.node, since=self.room.since)

    def _components(self) -> dict[str, dict[str, Any]]:
        for probe in self.probes.values():
            probe.start()
        return {name: component(*probe.latest()) for name, probe in self.probes.items()}
