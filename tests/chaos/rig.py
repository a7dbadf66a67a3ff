"""A whole system with its FakeMail in a folder, driven and checked from outside: for the chaos tests and the drill.

The check is the drill's: the log of ids that FakeMail accepted, against the database file, the API and the event log.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests
import websocket

from commands.drill.evidence import DEAD, RESULTS, TROUBLES, Evidence
from commands.drill.follower import Follower
from commands.drill.load import Accepted, SentLog
from commands.drill.poison import MARK, VARIABLE
from commands.drill.system import DrillError, fakemail, system, until
from commands.drill.verdict import judge
from fakemail.template_emails import TEMPLATE_EMAILS

__all__ = ["DrillError", "Rig", "rig", "until"]

FAST = {
    "POLL_INTERVAL_S": "1",
    "PROCESSOR_PROCESSES": "1",
    "PROCESSOR_MAX_RETRIES": "1",
    "PROCESSOR_RETRY_DELAY_MS": "50",
    VARIABLE: "1",
}


class Rig:
    """A system and its FakeMail; the test starts the system. The emails sent add up until the rig ends."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.mail = fakemail(folder / "fakemail")
        self.system = system(folder / "system", self.mail.url, **{**FAST, **environ})
        self.evidence = Evidence(self.system.environ.get("DATABASE_URL") or f"sqlite:///{self.data}/emails.db")
        self.sent_log = SentLog(_made(folder) / "sent.jsonl")
        self.follower = Follower(self.system.url)
        self.rng = random.Random(1)
        self._listening = threading.Event()

    @property
    def data(self) -> Path:
        """The system's DATA_DIR."""
        return self.folder / "system" / "data"

    def set(self, **environ: str) -> None:
        """Change settings for the system's next start."""
        self.system.environ = {**self.system.environ, **environ}

    def start(self) -> "Rig":
        """Start the system and wait until it is ready."""
        self.system.start()
        self.system.ready()
        return self

    def send(self, count: int, *, poison: str = "") -> list[str]:
        """Have FakeMail receive emails (all poison of the given kind, if any); return their ids."""
        made = [self._email(poison) for _ in range(count)]
        answer = requests.post(f"{self.mail.url}/simulator/send_batch", json={"emails": made}, timeout=30)
        assert answer.ok, f"{answer.status_code} {answer.text}"
        body = answer.json()
        ids = [str(each) for each in body["email_ids"]]
        self.sent_log.enter(Accepted(tuple(ids), body["history_id"]), set(ids) if poison else set())
        return ids

    def _email(self, poison: str) -> dict[str, Any]:
        template = self.rng.choice(TEMPLATE_EMAILS)
        subject = MARK + poison if poison else template["subject"]
        return {"id": f"r-{self.rng.randrange(16**10):010x}", "subject": subject, "body": template["body"]}

    def ended(self) -> int:
        """Return how many accepted ids have a result or a dead letter, according to the database."""
        try:
            return len(
                {key for key, _, _ in self.evidence.rows(RESULTS)} | {key for (key,) in self.evidence.rows(DEAD)}
            )
        except TROUBLES:
            return 0

    def settled(self, seconds: float = 60.0) -> None:
        """Wait until every accepted id has a result or a dead letter."""
        until(
            f"the end of all {len(self.sent_log.ids)} emails", lambda: self.ended() >= len(self.sent_log.ids), seconds
        )

    def balance(self, *, events: bool = True) -> None:
        """Check the database, the API and the event log against the log of what was sent. The system must run."""
        with suppress(DrillError):  # figures may be a second old
            until("fresh statistics", self._counted, 10)
        if events:
            with suppress(DrillError):
                until("all events", self._told, 20)
        verdict = judge(self.system, self.evidence, self.sent_log, self.follower, [], events=events)
        assert verdict.passed, {name: value for name, value in verdict.as_dict().items() if value}

    def _counted(self) -> bool:
        stats = self.system.get("/stats")
        return bool(stats) and stats["total_emails_processed"] + stats["dead_letters"] >= len(self.sent_log.ids)

    def _told(self) -> bool:
        return len(self.follower.processed) + len(self.follower.dead) >= len(self.sent_log.ids)

    def health(self) -> dict[str, Any]:
        """Return the answer of /health, even if it is a 503; {} if there is none."""
        try:
            answer: dict[str, Any] = requests.get(f"{self.system.url}/health", timeout=10).json()
        except (requests.RequestException, ValueError):
            return {}
        return answer

    def listen(self) -> None:
        """Keep a WebSocket client connected, across restarts, until the rig ends."""
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        url = self.system.url.replace("http://", "ws://") + "/ws/emails/rig"
        while not self._listening.is_set():
            with suppress(websocket.WebSocketException, OSError):
                client = websocket.create_connection(url, timeout=2)
                try:
                    while not self._listening.is_set():
                        with suppress(websocket.WebSocketTimeoutException):
                            client.recv()
                finally:
                    client.close()
            self._listening.wait(0.1)

    def end(self) -> None:
        """End all processes."""
        self._listening.set()
        self.follower.stop()
        self.system.kill_all()
        self.mail.kill()
        self.sent_log.close()


@contextmanager
def rig(folder: Path, **environ: str) -> Iterator[Rig]:
    """Yield a rig whose FakeMail answers and whose event log is followed; everything ends with the block."""
    made = Rig(folder, **environ)
    try:
        made.mail.start()
        made.mail.ready()
        made.follower.start()
        yield made
    finally:
        made.end()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
