"""A WSGI application that knows no rules of its own, behind those of web/auth.py: the simulator where it is served alone.

Made by commands/simulator_process.py. Strangers' large bodies are refused unread, as the processor's own server does.
"""

from collections.abc import Iterable
from functools import partial

from web.auth import SAFE_METHODS, Gate, cap_before_reading
from web.dispatch import problem_response, send
from web.problems import Problem
from web.server_body import Environ, StartResponse, WsgiApp
from web.services import Access


class Guarded:
    """`app` for those whom `access` lets in: safe methods to who may read, all else to who may do all."""

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
        """How large a body may be; raises Refusal, before any of it is read, for a large one of somebody who may not ask."""
        return cap_before_reading(environ, self.largest_body, partial(self._admit, environ))

    def _admit(self, environ: Environ) -> None:
        self.gate.admit(environ, "read" if environ["REQUEST_METHOD"] in SAFE_METHODS else "full")
