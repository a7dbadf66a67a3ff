"""The access rules of web/auth.py around a WSGI application that has none: the simulator when it is served alone.

Made by commands/simulator_process.py. A large body from a client without access is refused unread, as in the
processor's own server.
"""

from collections.abc import Iterable
from functools import partial

from web.auth import SAFE_METHODS, Gate, cap_before_reading
from web.dispatch import problem_response, send
from web.problems import Problem
from web.server_body import Environ, StartResponse, WsgiApp
from web.services import Access


class Guarded:
    """Serves `app` to clients that `access` admits: safe methods need read access, all others full access."""

    def __init__(self, app: WsgiApp, access: Access, largest_body: int) -> None:
        self.app, self.gate, self.largest_body = app, Gate(access), largest_body

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        try:
            self._admit(environ)
        except Problem as problem:
            return send(problem_response(problem, environ), environ, start_response)
        return self.app(environ, start_response)

    def body_cap(self, environ: Environ) -> int:
        """Return the largest body allowed. Without access, a large body raises Refusal before it is read."""
        return cap_before_reading(environ, self.largest_body, partial(self._admit, environ))

    def _admit(self, environ: Environ) -> None:
        self.gate.admit(environ, "read" if environ["REQUEST_METHOD"] in SAFE_METHODS else "full")
