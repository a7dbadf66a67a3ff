"""The work of three of the four top-level scripts: small end-to-end tests of a running server."""

import json
import secrets
import time
from collections.abc import Iterator, Sequence

import requests
import websocket
from tqdm import tqdm

from commands.client import CommandError, Server, problem
from commands.script import server_from_env, settings_from_env
from commands.simulated import advance, audit_of, check, find_simulator, send, wait_result, wait_settled
from fakemail.signature import sign

DEFAULT_BATCH = 2_000
CHUNK = 1_000

SAMPLES = {
    "meeting": (
        "Project sync on Thursday",
        "Hi Ana, can we meet on Thursday at 10:30 to go through the plan? I'll send a calendar invite with the Zoom link.",
    ),
    "promotion": (
        "48 hours only: 40% off everything",
        "Our biggest sale of the year ends Sunday. Use code SAVE40 at checkout and shop now! Unsubscribe any time.",
    ),
    "intro": (
        "Introducing myself",
        "Hello, my name is Jonas Weber and I have just joined the data team. I wanted to introduce myself and say hello to everyone.",
    ),
    "unknown": (
        "Re: build failure on main",
        "The linker error comes from the stale object files; a clean build of revision 4812 passes here.",
    ),
}


def flow() -> None:
    """Send one email of each kind, and follow each all the way."""
    server = server_from_env()
    simulator = find_simulator(server)
    live = _listen(server)
    try:
        ids = send(
            simulator,
            [{"subject": subject, "body": body, "sender": "flow@example.org"} for subject, body in SAMPLES.values()],
        )
        results = {label: wait_result(server, email_id) for label, email_id in zip(SAMPLES, ids, strict=True)}
        events = _process_events(live, set(ids))
    finally:
        live.close()
    for label, result in results.items():
        print(f"  {label:<10} → {result['classification']:<10} {result['confidence']:.2f}  {result['total_ms']} ms")
    audit = wait_settled(server, seconds=30)
    check(
        [
            ("every email has its result", len(results) == len(SAMPLES)),
            ("its event came over the WebSocket", events == set(ids)),
            (
                "the emails are listed in /emails",
                set(ids) <= {item["email_id"] for item in server.get("/emails", limit=100)["items"]},
            ),
            ("the statistics agree with the books", server.get("/stats")["total_emails_processed"] >= len(SAMPLES)),
            ("the books balance", _balanced(audit)),
        ]
    )


def large_batch(count: int) -> None:
    """Send `count` generated emails in batches, and check that each gets exactly one result."""
    server = server_from_env()
    simulator = find_simulator(server)
    before = audit_of(server)
    began = time.monotonic()
    ids = _send_all(simulator, count)
    with tqdm(total=count, unit="email", desc="processed") as bar:
        audit = wait_settled(
            server, ids[CHUNK - 1 :: CHUNK] + ids[-1:], seconds=120, tell=lambda now: advance(bar, before, now)
        )
    took = time.monotonic() - began
    done = audit["results"] - before["results"]
    print(f"  {count} emails in {took:.1f} s: {count / took:.0f} a second")
    sample = ids[:: max(1, len(ids) // 20)]
    check(
        [
            ("every email was listed once", audit["listed"] - before["listed"] >= count == len(set(ids))),
            ("every email has one result", done >= count),
            (
                "any of them can be fetched",
                all(wait_result(server, email_id)["classification"] for email_id in sample),
            ),
            ("the books balance", _balanced(audit)),
        ]
    )


def webhook() -> None:
    """Send valid and invalid notifications, and check the answers."""
    server = server_from_env()
    server.health()  # so that another kind of server is named as such
    rows = []
    signed_with = secrets_from_env()
    for body, content_type, expected in _notifications():
        answer = notify(f"{server.base_url}/webhook", body, content_type, signed_with)
        if answer.status_code == 401:
            raise CommandError(
                f"the server expects {'other signatures' if signed_with else 'signed webhooks'}: set WEBHOOK_SECRET as the server does"
            )
        if answer.status_code == 404:
            raise CommandError(f"the webhook {server.base_url}/webhook answers {problem(answer)}")
        claim = f"{body.decode()} as {content_type} → {answer.status_code}, expected {expected}"
        rows.append((claim, answer.status_code == expected))
    answer = notify(f"{server.base_url}/webhook", b'{"history_id": 7}', "application/json", signed_with)
    accepted = answer.ok and answer.json() == {"status": "accepted", "history_id": 7}
    check([*rows, ("the answer names the history id", accepted)])


def _notifications() -> Iterator[tuple[bytes, str, int]]:
    yield b'{"history_id": 0}', "application/json", 202
    yield b'{"history_id": 3, "email_ids": ["a"]}', "text/plain", 202
    yield b'{"history_id": "42"}', "application/json", 400
    yield b'{"history_id": true}', "application/json", 400
    yield b'{"history_id": 4.0}', "application/json", 400
    yield b'{"history_id": -1}', "application/json", 400
    yield b"{}", "application/json", 400
    yield b"no json", "application/json", 400


def secrets_from_env() -> Sequence[str]:
    """Return the webhook secrets of WEBHOOK_SECRET, as the server has them."""
    return settings_from_env("WEBHOOK_SECRET").webhook_secret


def notify(url: str, body: bytes, content_type: str, signed_with: Sequence[str]) -> requests.Response:
    """Send a notification as FakeMail does, signed with the first secret if there is one."""
    headers = {"Content-Type": content_type}
    if signed_with:
        message_id, now = f"msg_{secrets.token_hex(8)}", int(time.time())
        headers |= {
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": sign(signed_with[0], message_id, now, body),
        }
    return Server(url).request("POST", "", data=body, headers=headers)


def _send_all(simulator: Server, count: int) -> list[str]:
    run = secrets.token_hex(4)
    samples = list(SAMPLES.values())
    ids: list[str] = []
    for start in range(0, count, CHUNK):
        numbers = range(start, min(start + CHUNK, count))
        ids += send(
            simulator,
            [
                {
                    "subject": f"{samples[n % 4][0]} ({run}-{n})",
                    "body": samples[n % 4][1],
                    "sender": f"user{n % 97}@example.org",
                }
                for n in numbers
            ],
        )
    return ids


def _balanced(audit: dict[str, int]) -> bool:
    parts = ("results", "queued", "retrying", "dead", "discarded", "erased")
    return audit["listed"] == sum(audit[part] for part in parts) and audit["unaccounted"] == 0


def _listen(server: Server) -> "websocket.WebSocket":
    url = server.base_url.replace("http", "ws", 1) + f"/ws/emails/flow-{secrets.token_hex(4)}"
    token = server.session.headers.get("Authorization")
    try:
        return websocket.create_connection(
            url, timeout=20, header=[f"Authorization: {token!s}"] if token else [], origin=server.base_url
        )
    except (OSError, websocket.WebSocketException) as error:
        raise CommandError(f"no WebSocket at {url}: {error}") from None


def _process_events(live: "websocket.WebSocket", ids: set[str]) -> set[str]:
    """Return those of `ids` whose `process` event came within the socket's time-out."""
    seen: set[str] = set()
    try:
        while seen != ids:
            message = json.loads(live.recv())
            if message.get("event") == "process":
                seen |= {message["data"]["email_id"]} & ids
    except (OSError, websocket.WebSocketException):
        pass
    return seen
