"""Finds the simulator that feeds a running server, and sends mail through it; used by import and the scripts."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote

from tqdm import tqdm

from commands.client import CommandError, Server, wait_for
from commands.script import settings_from_env


def find_simulator(server: Server) -> Server:
    """Return the server's own simulator, or else the one at FAKEMAIL_API_URL. Raises CommandError if there is none."""
    settings = settings_from_env("FAKEMAIL_API_URL", "FAKEMAIL_API_TOKEN")
    fakemail = settings.fakemail_api_url
    for url in [f"{server.base_url}/simulator", *([fakemail, f"{fakemail}/simulator"] if fakemail else [])]:
        found = server.fakemail(url, settings.fakemail_api_token, named_by="FAKEMAIL_API_URL")
        answer = found.request("GET", "/status")
        if answer.status_code == 401:
            raise CommandError(f"{url} requires a token: set {found.authorized_by}")
        if answer.ok:
            return found
    raise CommandError(
        f"{server.base_url} has no simulator, and FAKEMAIL_API_URL does not name one: there is no way to send mail"
    )


def send(simulator: Server, emails: Sequence[dict[str, Any]]) -> list[str]:
    """Send emails as one batch with one notification; return their ids in order."""
    ids: list[str] = simulator.post("/send_batch", {"emails": list(emails)})["email_ids"]
    return ids


def audit_of(server: Server) -> dict[str, int]:
    """Return how many emails the server's books have, in total and by state."""
    found: dict[str, int] = server.get("/audit")
    return found


def wait_settled(
    server: Server,
    ids: Sequence[str] = (),
    *,
    seconds: float,
    tell: Callable[[dict[str, int]], None] = lambda _: None,
) -> dict[str, int]:
    """Wait until the books know `ids` (the last ones sent) and no email is open.

    `seconds` count from the last progress.
    """
    unknown, last, end = list(ids), None, time.monotonic() + seconds
    while True:
        unknown = [email_id for email_id in unknown if not is_known(server, email_id)]
        audit = audit_of(server)
        tell(audit)
        if not unknown and audit["queued"] == audit["retrying"] == 0:
            return audit
        if (progress := (len(unknown), settled(audit))) != last:
            last, end = progress, time.monotonic() + seconds
        if time.monotonic() > end:
            raise CommandError(f"no progress for {seconds:g} s: {audit['queued']} queued, {audit['retrying']} retrying")
        time.sleep(0.2)


def is_known(server: Server, email_id: str) -> bool:
    """Return whether the books have this email, in any state."""
    return server.request("GET", f"/emails/{quote(email_id, safe='')}").status_code != 404


def settled(audit: dict[str, int]) -> int:
    """Return how many emails are in a final state."""
    return audit["listed"] - audit["queued"] - audit["retrying"]


def advance(bar: "tqdm[Any]", before: dict[str, int], now: dict[str, int]) -> None:
    """Advance a progress bar to the number of emails settled since `before`."""
    bar.update(max(0, settled(now) - settled(before)) - bar.n)


def wait_result(server: Server, email_id: str, *, source: str | None = None) -> dict[str, Any]:
    """Wait for the result of one email and return it."""
    params: dict[str, Any] = {"wait": 5, **({"source": source} if source else {})}

    def look() -> dict[str, Any] | None:
        answer = server.request("GET", f"/results/{quote(email_id, safe='')}", params=params)
        return dict(answer.json()) if answer.status_code == 200 else None

    hint = "do FakeMail's notifications come in (GET /notifications), signed with the server's secret?"
    return wait_for(f"a result of email {email_id}", look, seconds=20.0, hint=hint)


def check(rows: Iterable[tuple[str, bool]]) -> None:
    """Print each claim with its outcome. Raises CommandError if one does not hold."""
    failed = 0
    for claim, holds in rows:
        print(f"  {'ok  ' if holds else 'FAIL'}  {claim}")
        failed += not holds
    if failed:
        raise CommandError(f"{failed} of the checks failed")
