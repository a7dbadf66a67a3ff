"""A client that calls the application as the server would, without a port: one request in, one reply out."""

import io
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes


@dataclass
class Reply:
    """What the application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class WsgiClient:
    """Sends requests; `headers` are added to each of them."""

    def __init__(self, app: Any, **headers: str) -> None:
        self.app = app
        self.headers = {"Host": "127.0.0.1:8005", **headers}

    def get(self, target: str, **headers: str) -> Reply:
        return self.send("GET", target, b"", headers)

    def delete(self, target: str, **headers: str) -> Reply:
        return self.send("DELETE", target, b"", headers)

    def post(self, target: str, value: Any = None, **headers: str) -> Reply:
        body = b"" if value is None else json.dumps(value).encode()
        return self.send("POST", target, body, {"Content-Type": "application/json", **headers})

    def send(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "RAW_URI": target,
            "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8005",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "CONTENT_LENGTH": str(len(body)),
            "emailproc.request_id": "test-request",
        }
        for name, value in {**self.headers, **(headers or {})}.items():
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        return self._call(environ)

    def _call(self, environ: dict[str, Any]) -> Reply:
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            begun.append((status, headers))

        body = b"".join(self.app(environ, start_response))
        status, headers = begun[-1]
        names = [name.lower() for name, _ in headers]
        assert len(names) == len(set(names) | {"set-cookie"}) or len(names) == len(set(names)), f"twice: {names}"
        return Reply(int(status.split()[0]), {name.lower(): value for name, value in headers}, body)
