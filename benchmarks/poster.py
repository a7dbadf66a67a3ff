"""(e) Posts notifications over keep-alive connections as fast as answers come; reports rate and latency.

Run as a child on the other core: `python -m benchmarks.poster URL SECONDS CONNECTIONS`. It uses plain sockets and does
not parse, so that one core of client can outrun one core of server.
"""

# ruff: noqa: E402  (gevent patches before anything else is imported)

from gevent import monkey

monkey.patch_all()

import sys
import time
from urllib.parse import urlsplit

import gevent
from gevent import socket

from benchmarks.rig import percentiles, say

WARM_S = 0.5


def post(host: str, port: int, path: str, until: float, latencies: list[float], first: int) -> None:
    """Send requests on one connection until `until`."""
    sock = socket.create_connection((host, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    number = first
    while (began := time.perf_counter()) < until:
        number += 1
        body = b'{"history_id": %d}' % number
        head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        answer = b""
        while b"}" not in answer:
            part = sock.recv(4096)
            if not part:
                raise ConnectionError(answer.decode())
            answer += part
        if not answer.startswith(b"HTTP/1.1 202"):
            raise ConnectionError(answer.decode())
        latencies.append(time.perf_counter() - began)


def main(url: str, seconds: float, connections: int) -> None:
    """Warm up, then measure."""
    parts = urlsplit(url)
    host, port = str(parts.hostname), int(parts.port or 80)
    for duration in (WARM_S, seconds):
        latencies: list[float] = []
        began = time.perf_counter()
        jobs = [
            gevent.spawn(post, host, port, parts.path, began + duration, latencies, place * 10_000_000)
            for place in range(connections)
        ]
        gevent.joinall(jobs, raise_error=True)
        took = time.perf_counter() - began
    shares = {f"{name}_ms": value * 1000 for name, value in percentiles(latencies).items()}
    say({"requests": len(latencies), "seconds": took, "per_s": len(latencies) / took, **shares})


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
