"""A real HTTP server that receives webhooks: it records the requests and answers as the test says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import gevent
import orjson
from gevent.pywsgi import WSGIServer


@dataclass
class Received:
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Receiver:
    """A webhook receiver. `answer` returns the status for each request, and may block; the default is 204."""

    answer: Callable[[Received], int] = lambda _: 204
    headers: list[tuple[str, str]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)

    def __enter__(self) -> "Receiver":
        self.server = WSGIServer(("127.0.0.1", 0), self._serve, log=None, error_log=None)
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop(timeout=0.1)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook?of=mine"

    def seqs(self) -> list[str]:
        """Return the seqs of the accepted messages, each once."""
        return list(dict.fromkeys(each.json["seq"] for each in self.taken))

    def _serve(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        names = {name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name[:5] == "HTTP_"}
        request = Received(names, environ["wsgi.input"].read())
        self.received.append(request)
        status = self.answer(request)
        gevent.sleep(0)
        if 200 <= status < 300:
            self.taken.append(request)
        start(f"{status} So", [*self.headers, ("Content-Length", "0")])
        return []
