"""Load on a running server: webhook bursts, steady mail, dashboards on WebSockets, API readers, and a mix of all.

`make load` runs it headless (tests/load/run.py). For locust's web page run `locust -f tests/load/locustfile.py
--class-picker --host http://127.0.0.1:8005`. A run fails if it exceeds its limits, LIMITS_MS and ERROR_RATE, or if the
books do not balance afterwards.
"""

# ruff: noqa: T201  (it prints to a terminal)
# locust's decorators have no types:
# mypy: disable-error-code="untyped-decorator"

import os
import random
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import gevent
import requests
import websocket
from locust import FastHttpUser, User, between, constant_pacing, events, task
from locust.env import Environment

LIMITS_MS = {
    "POST /webhook": 500,
    "POST /simulator/send_batch": 1_000,
    "GET /stats": 1_000,
    "GET /emails": 1_000,
    "GET /emails?q=": 1_500,
    "GET /results": 1_000,
    "GET /results/{id}": 1_000,
    "GET /results/{id}?wait=": 12_000,
    "GET /audit": 1_500,
    "WS connect": 2_000,
    "WS event": 1_500,
}
"""Name → the highest p99 allowed, in milliseconds. An event's lateness counts from its own timestamp."""

ERROR_RATE = 0.001
SETTLE_S = float(os.environ.get("LOAD_SETTLE_S") or 120)
BURST = 50
SAMPLES = (
    (
        "Project sync on Thursday",
        "Can we meet on Thursday at 10:30 to go through the plan? I'll send an invite with the link.",
    ),
    (
        "48 hours only: 40% off",
        "Our biggest sale of the year ends Sunday. Use code SAVE40 at checkout. Unsubscribe any time.",
    ),
    ("Introducing myself", "Hello, my name is Jonas and I have just joined the data team. I wanted to say hello."),
    (
        "Re: build failure on main",
        "The linker error comes from the stale object files; a clean build of 4812 passes here.",
    ),
)
WORDS = ("thursday", "sale", '"data team"', "from:load@example.org build", "class:meeting plan", "nowhere")


@dataclass
class Books:
    """What the books must hold at the end of the run: what they held at its start, and all emails accepted since."""

    listed: int = 0
    sent: int = 0


BOOKS = Books()


def headers() -> dict[str, str]:
    """Return the headers with the token, if the server needs one."""
    token = os.environ.get("API_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def emails(count: int) -> list[dict[str, str]]:
    """Return new emails with unique ids."""
    chosen = random.choices(SAMPLES, k=count)
    return [
        {"id": f"load-{secrets.token_hex(6)}", "subject": subject, "body": body, "sender": "load@example.org"}
        for subject, body in chosen
    ]


class WebhookBurst(FastHttpUser):
    """A FakeMail that repeats itself far too often: each second fifty notifications in a row."""

    weight = 1
    wait_time = constant_pacing(1)

    @task
    def burst(self) -> None:
        """Send notifications; only their history id shows that all but the first bring no news."""
        with self.client.get(
            "/simulator/status", headers=headers(), catch_response=True, name="GET /simulator/status"
        ) as status:
            history_id = status.json()["history_id"] if status.status_code == 200 else 0
            status.success()
        for _ in range(BURST):
            with self.client.post(
                "/webhook", json={"history_id": history_id}, catch_response=True, name="POST /webhook"
            ) as answer:
                if answer.status_code != 202:
                    answer.failure(f"status {answer.status_code}")


class SteadyMail(FastHttpUser):
    """Mail that keeps coming: five emails per second from each user, of which one is sometimes waited for."""

    weight = 4
    wait_time = constant_pacing(1)

    @task(9)
    def send(self) -> None:
        """Send five at once, with one notification."""
        self._send(emails(5))

    @task(1)
    def wait_for_one(self) -> None:
        """Send one and wait for its result, as a program would."""
        sent = emails(1)
        self._send(sent)
        self.client.get(f"/results/{sent[0]['id']}?wait=10", headers=headers(), name="GET /results/{id}?wait=")

    def _send(self, batch: list[dict[str, str]]) -> None:
        answer = self.client.post(
            "/simulator/send_batch", json={"emails": batch}, headers=headers(), name="POST /simulator/send_batch"
        )
        if answer.status_code == 200:
            BOOKS.sent += len(batch)


class ApiReader(FastHttpUser):
    """A program that reads pages, searches, single results and figures."""

    weight = 3
    wait_time = between(0.1, 0.5)
    seen: list[str]

    def on_start(self) -> None:
        """Start with no known ids."""
        self.seen = []

    @task(3)
    def stats(self) -> None:
        """Read the stats."""
        self.client.get("/stats", headers=headers(), name="GET /stats")

    @task(3)
    def page(self) -> None:
        """Read the newest results, and perhaps the page after them."""
        answer = self.client.get("/results?limit=20", headers=headers(), name="GET /results")
        page = answer.json()
        self.seen = [item["email_id"] for item in page["items"]]
        if page["next_cursor"]:
            self.client.get(f"/results?limit=20&cursor={page['next_cursor']}", headers=headers(), name="GET /results")

    @task(2)
    def search(self) -> None:
        """Search for some words."""
        self.client.get("/emails", params={"q": random.choice(WORDS)}, headers=headers(), name="GET /emails?q=")

    @task(4)
    def one(self) -> None:
        """Read one of the results on the page."""
        if self.seen:
            self.client.get(f"/results/{random.choice(self.seen)}", headers=headers(), name="GET /results/{id}")

    @task(1)
    def audit(self) -> None:
        """Read the audit."""
        self.client.get("/audit", headers=headers(), name="GET /audit")


class Dashboard(User):
    """A browser with the dashboard open: one WebSocket with all events and the stats, which it sometimes requests."""

    weight = 3
    wait_time = between(2, 5)
    socket: "websocket.WebSocket"

    def on_start(self) -> None:
        """Connect, and read until the end."""
        began = time.perf_counter()
        error: Exception | None = None
        url = str(self.host).replace("http", "ws", 1) + f"/ws/emails/load-{secrets.token_hex(4)}"
        try:
            self.socket = websocket.create_connection(url, timeout=10, header=headers(), origin=self.host)
            self.socket.send('{"command": "subscribe", "topic": "stats"}')
            self.socket.settimeout(60)
        except (OSError, websocket.WebSocketException) as failed:
            error = failed
        self._tell("WS connect", (time.perf_counter() - began) * 1000, 0, error)
        if error is None:
            self.reader = gevent.spawn(self._read)

    def on_stop(self) -> None:
        """Disconnect."""
        if hasattr(self, "reader"):
            self.reader.kill()
            self.socket.close()

    @task
    def look(self) -> None:
        """Request the stats over the socket, as the page does."""
        if hasattr(self, "reader"):
            self.socket.send('{"command": "fetch_stats"}')

    def _read(self) -> None:
        while True:
            try:
                text = self.socket.recv()
            except (OSError, websocket.WebSocketException) as error:
                return self._tell("WS event", 0, 0, error)
            if '"event":"process"' in text[:60]:
                at = text.rindex('"timestamp":"') + 13
                late = time.time() - datetime.fromisoformat(text[at : text.index('"', at)]).timestamp()
                self._tell("WS event", late * 1000, len(text), None)

    def _tell(self, name: str, milliseconds: float, length: int, error: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type="WS",
            name=name,
            response_time=max(0.0, milliseconds),
            response_length=length,
            exception=error,
            context={},
        )


@events.test_start.add_listener
def begin(environment: Environment, **_: Any) -> None:
    """Read the books before anything is sent."""
    BOOKS.listed = BOOKS.sent = 0
    with suppress(requests.RequestException):  # the check at the end will report it
        BOOKS.listed = audit_of(str(environment.host))["listed"]


@events.quitting.add_listener
def judge(environment: Environment, **_: Any) -> None:
    """Set the exit code: 1 if a limit is exceeded or the books do not balance."""
    if environment.runner is not None:  # after a signal, users would go on while their mail is counted
        environment.runner.stop()
    complaints = broken_limits(environment)
    try:
        complaints += unbalanced_books(str(environment.host))
    except requests.RequestException as error:
        complaints.append(f"the books cannot be read: {error}")
    for complaint in complaints:
        print(f"FAIL  {complaint}")
    environment.process_exit_code = 1 if complaints else 0


def broken_limits(environment: Environment) -> list[str]:
    """Return complaints about the run's limits."""
    stats = environment.stats
    found = []
    if not stats.total.num_requests:
        found.append("nothing was asked at all")
    if stats.total.fail_ratio > ERROR_RATE:
        found.append(f"{stats.total.fail_ratio:.2%} of the calls failed, {ERROR_RATE:.2%} may")
    for entry in stats.entries.values():
        limit, p99 = LIMITS_MS.get(entry.name), entry.get_response_time_percentile(0.99)
        if limit is not None and p99 > limit:
            found.append(f"{entry.name}: p99 is {p99:.0f} ms, {limit} may be")
    return found


def unbalanced_books(host: str) -> list[str]:
    """Wait until everything sent is listed and nothing is open; then return complaints if the books do not balance."""
    deadline = time.monotonic() + SETTLE_S
    expected = BOOKS.listed + BOOKS.sent
    while True:
        audit = audit_of(host)
        if audit["listed"] >= expected and not audit["queued"] and not audit["retrying"]:
            break
        if time.monotonic() > deadline:
            return [f"after {SETTLE_S:.0f} s of the {expected} emails that were sent some are open or unknown: {audit}"]
        time.sleep(0.5)
    parts = ("results", "queued", "retrying", "dead", "discarded", "erased")
    if audit["listed"] != sum(audit[part] for part in parts) or audit["unaccounted"]:
        return [f"the books do not balance: {audit}"]
    print(f"the books balance, {BOOKS.sent} emails were sent: {audit}")
    return []


def audit_of(host: str) -> dict[str, Any]:
    """Return the audit."""
    answer = requests.get(f"{host}/audit", headers=headers(), timeout=10)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found
