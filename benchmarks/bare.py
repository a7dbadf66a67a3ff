"""(e) What the webhook is compared with: a plain pywsgi handler with TCP_NODELAY that does one Redis SET, unchecked.

Run as a child: `python -m benchmarks.bare PORT REDIS_URL`.
"""

# ruff: noqa: E402  (gevent patches before anything else is imported)

from gevent import monkey

monkey.patch_all()

import json
import socket
import sys
from typing import Any

import redis
from gevent.pywsgi import WSGIServer


class Server(WSGIServer):
    """Sets TCP_NODELAY: without it, keep-alive answers would wait 40 ms for the client's delayed acknowledgement."""

    def do_read(self) -> Any:
        """Accept a connection."""
        accepted = super().do_read()
        if accepted is not None:
            accepted[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return accepted


def main(port: int, url: str) -> None:
    """Serve forever."""
    client = redis.Redis.from_url(url, protocol=3)

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        history_id = json.loads(environ["wsgi.input"].read())["history_id"]
        client.set("last", history_id)
        body = b'{"status":"accepted","history_id":%d}' % history_id
        start_response("202 Accepted", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    Server(("127.0.0.1", port), app, log=None).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
