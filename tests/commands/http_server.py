"""A small real HTTP server for tests of the commands: gives prepared answers and records the requests."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from gevent.pywsgi import WSGIServer

Answer = tuple[int, Any]
Environ = dict[str, Any]


class Asked:
    """One request."""

    def __init__(self, environ: Environ) -> None:
        self.method: str = environ["REQUEST_METHOD"]
        self.path: str = environ["PATH_INFO"]
        self.query: str = environ.get("QUERY_STRING", "")
        self.authorization: str | None = environ.get("HTTP_AUTHORIZATION")
        body = environ["wsgi.input"].read()
        self.json = json.loads(body) if body else None


class SmallServer:
    """`answers` maps (method, path) to (status, text or JSON value); `mounted` maps prefixes to WSGI applications."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answer] = {}
        self.mounted: dict[str, Callable[..., Iterable[bytes]]] = {}
        self.asked: list[Asked] = []
        self._server = WSGIServer(("127.0.0.1", 0), self._answer, log=None)
        self._server.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.stop(timeout=1)

    def _answer(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        for prefix, application in self.mounted.items():
            if environ["PATH_INFO"].startswith(prefix):
                return application(environ, start)
        asked = Asked(environ)
        self.asked.append(asked)
        status, body = self.answers.get((asked.method, asked.path), (404, {"title": "Not Found"}))
        plain = isinstance(body, str)
        start(f"{status} Reason", [("Content-Type", "text/html" if plain else "application/json")])
        return [body.encode() if plain else b"" if body is None else json.dumps(body).encode()]
