"""(i) Many WebSocket clients in one process, one of them stuck; reports how late events reach the others.

Run as a child on the other core: `python -m benchmarks.fanout_client SYSTEM_URL CLIENTS SECONDS`. Lateness counts from
an event's own timestamp; of each chunk that a client reads, the oldest event is measured.
"""

# ruff: noqa: E402  (gevent patches before anything else is imported)

from gevent import monkey

monkey.patch_all()

import sys
import time
from datetime import datetime

import gevent

from benchmarks.rig import percentiles, say
from benchmarks.wsclient import TIMESTAMP, Feed

JOIN_AT_ONCE = 50
STUCK_BUFFER = 4096


class Crowd:
    """Clients that read, and one that does not (if there are several)."""

    def __init__(self, url: str, count: int) -> None:
        self.late: list[float] = []
        self.events = 0
        self.measuring = False
        self.stuck = Feed(url, "stuck", receive_buffer=STUCK_BUFFER) if count > 1 else None
        self.feeds: list[Feed] = []
        for start in range(0, count, JOIN_AT_ONCE):
            jobs = [gevent.spawn(Feed, url, f"crowd-{n}") for n in range(start, min(start + JOIN_AT_ONCE, count))]
            gevent.joinall(jobs, raise_error=True)
            self.feeds += [job.get() for job in jobs]

    def follow(self, feed: Feed) -> None:
        """Read forever."""
        while True:
            payloads = feed.chunk()
            if self.measuring and payloads:
                self.events += len(payloads)
                stamp = TIMESTAMP.search(payloads[0], max(0, len(payloads[0]) - 100))
                if stamp:
                    self.late.append(time.time() - datetime.fromisoformat(stamp[1].decode()).timestamp())


def main(url: str, count: int, seconds: float) -> None:
    """Connect the clients, report that, measure."""
    crowd = Crowd(url, count)
    readers = [gevent.spawn(crowd.follow, feed) for feed in crowd.feeds]
    print("joined", flush=True)
    gevent.sleep(1.0)
    crowd.measuring = True
    gevent.sleep(seconds)
    crowd.measuring = False
    gone = sum(reader.dead for reader in readers)
    shares = {f"{name}_ms": value * 1000 for name, value in percentiles(crowd.late or [0.0]).items()}
    say({"clients": count, "events": crowd.events / count, "gone": gone, "samples": len(crowd.late), **shares})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
