"""Well-behaved traffic from its own process: webhooks and reads at a steady rate, with the latency of each.

`python -m tests.security.probe URL TOKEN SECONDS RATE` prints one JSON object. Open loop: a late answer does not delay
the next request.
"""

import json
import sys
import time
from itertools import count

import gevent
from geventhttpclient import HTTPClient
from geventhttpclient.url import URL

PATHS = ("/stats", "/health/live", "/results?limit=5")


def main(url: str, token: str, seconds: float, rate: float) -> dict[str, object]:
    """Return percentiles in milliseconds, and counts of failures by status."""
    headers = {
        "Authorization": f"Bearer {token}",
        "X-Forwarded-For": "198.51.100.7",
        "Content-Type": "application/json",
    }
    client = HTTPClient.from_url(URL(url), concurrency=64, connection_timeout=10, network_timeout=15)
    took: list[float] = []
    failed: dict[str, int] = {}

    def ask(number: int) -> None:
        began = time.perf_counter()
        try:
            if number % 2:
                answer = client.post("/webhook", json.dumps({"history_id": number}).encode(), headers=headers)
            else:
                answer = client.get(PATHS[number // 2 % len(PATHS)], headers=headers)
            answer.read()
            status = str(answer.status_code)
        except Exception as error:
            status = type(error).__name__
        took.append(time.perf_counter() - began)
        if not status.startswith("2"):
            failed[status] = failed.get(status, 0) + 1

    began = time.perf_counter()
    running = []
    for number in count():
        wait = began + number / rate - time.perf_counter()
        if number / rate >= seconds:
            break
        gevent.sleep(max(0.0, wait))
        running.append(gevent.spawn(ask, number))
    gevent.joinall(running, timeout=20)
    ordered = sorted(took)
    at = {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }
    return {**at, "max": round(ordered[-1] * 1000, 2), "requests": len(took), "failed": failed}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))))
