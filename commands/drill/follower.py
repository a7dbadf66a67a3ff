"""A client of the event log during the drill: it counts every event that it receives, repeated ones too.

A thread of its own reads `/events` from the last position, across all restarts of the front.
"""

import threading
import time
from collections import Counter

import requests

LIMIT = 100
WAIT = 1


class Follower:
    """`processed` and `dead` map ids to numbers of events; `gaps` counts when the log did not reach back far enough."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.processed: Counter[str] = Counter()
        self.dead: Counter[str] = Counter()
        self.last: str | None = None
        self.gaps = 0
        self.backwards = 0
        self._stop = threading.Event()
        self._session = requests.Session()
        self._session.trust_env = False
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join(20)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except (requests.RequestException, ValueError, KeyError):
                time.sleep(0.1)

    def _read(self) -> None:
        after: dict[str, str | int] = {} if self.last is None else {"after": self.last}
        answer = self._session.get(f"{self.url}/events", params={**after, "limit": LIMIT, "wait": WAIT}, timeout=10)
        if answer.status_code == 410:
            self.gaps += 1
            self.last = None
            return
        answer.raise_for_status()
        page = answer.json()
        for item in page["items"]:
            self._take(item)
        self.last = page["next_after"] or self.last
        if not page["items"]:
            time.sleep(0.05)

    def _take(self, item: dict[str, object]) -> None:
        seq, data = str(item["seq"]), item["data"]
        assert isinstance(data, dict)
        if self.last is not None and seq <= self.last:
            self.backwards += 1
        self.last = seq
        if item["event"] == "process":
            self.processed[data["email_id"]] += 1
        elif item["event"] == "dead":
            self.dead[data["email_id"]] += 1
