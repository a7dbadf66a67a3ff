"""Load on a running server: webhook bursts, steady mail, dashboards on WebSockets, API readers, and all of them as a mixed day.

`make load` runs them headless (tests/load/run.py); `locust -f tests/load/locustfile.py --class-picker --host http://127.0.0.1:8005` opens
the web page of locust. A run fails by its own limits, stated in LIMITS_MS and ERROR_RATE, and when the books do not balance afterwards.
"""

# ruff: noqa: T201  (it speaks to a terminal)
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
"""Name → the p99 that a run may have, in milliseconds. An event's clock is its own timestamp."""

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
    """What the run has to find in the books at its end: what they held at its beginning, and all that was accepted since."""

    listed: int = 0
    sent: int = 0


BOOKS = Books()


def headers() -> dict[str, str]:
    """The token of a server that wants one."""
    token = os.environ.get("API_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def emails(count: int) -> list[dict[str, str]]:
    """New emails with ids of their own."""
    chosen = random.choices(SAMPLES, k=count)
    return [
        {"id": f"load-{secrets.token_hex(6)}", "subject": subject, "body": body, "sender": "load@example.org"}
        for subject, body in chosen
    ]


class WebhookBurst(FastHttpUser):
    """A FakeMail that says the same thing far too often: fifty notifications in a row, each second."""

    weight = 1
    wait_time = constant_pacing(1)

    @task
    def burst(self) -> None:
        """All but the first are told by nothing but their number that they bring no news."""
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
    """Mail that keeps coming: five emails a second from each of these users; now and then one is waited for."""

    weight = 4
    wait_time = constant_pacing(1)

    @task(9)
    def send(self) -> None:
        """Five at once, one notification."""
        self._send(emails(5))

    @task(1)
    def wait_for_one(self) -> None:
        """Its result, as a program would wait for it."""
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
    """A program that reads: pages, searches, single results, figures."""

    weight = 3
    wait_time = between(0.1, 0.5)
    seen: list[str]

    def on_start(self) -> None:
        """Nothing is known yet."""
        self.seen = []

    @task(3)
    def stats(self) -> None:
        """The figures."""
        self.client.get("/stats", headers=headers(), name="GET /stats")

    @task(3)
    def page(self) -> None:
        """The newest results, and perhaps the page behind them."""
        answer = self.client.get("/results?limit=20", headers=headers(), name="GET /results")
        page = answer.json()
        self.seen = [item["email_id"] for item in page["items"]]
        if page["next_cursor"]:
            self.client.get(f"/results?limit=20&cursor={page['next_cursor']}", headers=headers(), name="GET /results")

    @task(2)
    def search(self) -> None:
        """Some words."""
        self.client.get("/emails", params={"q": random.choice(WORDS)}, headers=headers(), name="GET /emails?q=")

    @task(4)
    def one(self) -> None:
        """One of those that were on the page."""
        if self.seen:
            self.client.get(f"/results/{random.choice(self.seen)}", headers=headers(), name="GET /results/{id}")

    @task(1)
    def audit(self) -> None:
        """The books."""
        self.client.get("/audit", headers=headers(), name="GET /audit")


class Dashboard(User):
    """A browser with the dashboard open: one WebSocket, all events and the figures; it looks at the list now and then."""

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
        """Hang up."""
        if hasattr(self, "reader"):
            self.reader.kill()
            self.socket.close()

    @task
    def look(self) -> None:
        """Ask for the figures over the socket, as the page does."""
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
    """Look at the books before anything is sent."""
    BOOKS.listed = BOOKS.sent = 0
    with suppress(requests.RequestException):  # the end will say so
        BOOKS.listed = audit_of(str(environment.host))["listed"]


@events.quitting.add_listener
def judge(environment: Environment, **_: Any) -> None:
    """The exit code: 1 when a limit is broken or the books do not balance."""
    if environment.runner is not None:  # ended by a signal, its users would go on while their mail is counted
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
    """What the run's own limits say of it."""
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
    """Wait until all that was sent is listed and nothing is open any more; then every listed email must be somewhere."""
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
    """The books."""
    answer = requests.get(f"{host}/audit", headers=headers(), timeout=10)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found
