"""(f) Sends emails to FakeMail at a fixed rate and measures how long their WebSocket `process` events take.

Run as a child on the other core: `python -m benchmarks.latency_client FAKEMAIL_URL SYSTEM_URL RATE SECONDS`. The clock
starts before the email is sent to FakeMail, so FakeMail's commit and notification are included. Up to 100 emails per
second are sent one per request; higher rates are sent as 100 batches per second.
"""

# ruff: noqa: E402  (gevent patches before anything else is imported)

from gevent import monkey

monkey.patch_all()

import json
import re
import sys
import time
import urllib.request

import gevent

from benchmarks.rig import percentiles, say
from benchmarks.work import email
from benchmarks.wsclient import Feed

REQUESTS = 100  # the maximum per second
PROCESS = re.compile(rb'^\{"type":"email_event","event":"process".*?"email_id":"([^"]+)"')


class Trial:
    """One rate: when each email was sent, and how long its event took."""

    def __init__(self, fakemail: str, system: str, rate: int) -> None:
        self.fakemail, self.rate = fakemail, rate
        self.feed = Feed(system, "latency")
        self.sent: dict[str, float] = {}
        self.took: list[float] = []
        self.late = 0.0

    def listen(self) -> None:
        """Record the arrival of every email that we sent."""
        while True:
            payloads = self.feed.chunk()
            now = time.perf_counter()
            for payload in payloads:
                match = PROCESS.match(payload)
                began = self.sent.pop(match[1].decode(), None) if match else None
                if began is not None:
                    self.took.append(now - began)

    def run(self, seconds: float, first: int) -> None:
        """Send for `seconds`, starting each request on time whatever the others do."""
        at_once = max(1, self.rate // REQUESTS)
        pause, jobs, began = at_once / self.rate, [], time.perf_counter()
        for turn in range(int(seconds / pause)):
            gevent.sleep(max(0.0, began + turn * pause - time.perf_counter()))
            self.late = max(self.late, time.perf_counter() - began - turn * pause)
            jobs.append(gevent.spawn(self._send, first + turn * at_once, at_once))
        gevent.joinall(jobs, timeout=30, raise_error=True)

    def _send(self, first: int, count: int) -> None:
        emails = [{**email(number), "id": f"l{self.rate}-{number}"} for number in range(first, first + count)]
        body = json.dumps({"emails": emails}).encode()
        request = urllib.request.Request(
            f"{self.fakemail}/simulator/send_batch", body, {"Content-Type": "application/json"}
        )
        now = time.perf_counter()
        self.sent.update({each["id"]: now for each in emails})
        urllib.request.urlopen(request, timeout=30).read()


def main(fakemail: str, system: str, rate: int, seconds: float) -> None:
    """Warm up for a second, then measure; emails without an event after 30 s count as missing."""
    trial = Trial(fakemail, system, rate)
    listener = gevent.spawn(trial.listen)
    trial.run(1.0, 0)
    _settle(trial)
    trial.took.clear()
    trial.run(seconds, 1_000_000)
    _settle(trial)
    listener.kill()
    shares = {f"{name}_ms": value * 1000 for name, value in percentiles(trial.took or [0.0]).items()}
    say(
        {
            "rate": rate,
            "emails": len(trial.took),
            "missing": len(trial.sent),
            **shares,
            "sender_late_ms": trial.late * 1000,
        }
    )


def _settle(trial: Trial) -> None:
    deadline = time.monotonic() + 30
    while trial.sent and time.monotonic() < deadline:
        gevent.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
