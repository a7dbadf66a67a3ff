"""The drill's load: emails sent to FakeMail at a steady rate in bursts of random size, and a log of the accepted ones.

Everything is measured against this log. An id is written and fsynced once FakeMail has answered for it, outside of the
system under drill. If an answer does not come, the same ids are sent again, which changes nothing there.
"""

import json
import os
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import requests

from commands.drill.poison import KINDS, MARK
from commands.drill.system import DrillError, FakeMail
from fakemail.template_emails import TEMPLATE_EMAILS

MAX_BURST = 200
"""Most emails in a burst; at low rates one second's worth, so that recovery can be told from a lull."""


class Accepted(NamedTuple):
    """A batch that FakeMail has answered for."""

    ids: tuple[str, ...]
    history_id: int


@dataclass
class SentLog:
    """Accepted ids, in order, on disk and in memory. `poison` are those that must end as dead letters."""

    path: Path
    batches: list[Accepted] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    poison: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._file = self.path.open("a", encoding="utf-8")

    def enter(self, batch: Accepted, poison: set[str]) -> None:
        """Record a batch; it is durable on return."""
        self._file.write(json.dumps([batch.history_id, *batch.ids]) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.poison |= poison
        self.ids.update(batch.ids)
        self.batches.append(batch)

    def known_up_to(self, history_id: int) -> int:
        """Return how many ids were accepted in whole batches up to this history id."""
        return sum(len(batch.ids) for batch in self.batches if batch.history_id <= history_id)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Load:
    """Sends `emails` over `seconds` in a thread of its own; the first quarter contains the `poison` marked ones."""

    def __init__(
        self, fakemail: FakeMail, sent_log: SentLog, rng: random.Random, *, emails: int, seconds: float, poison: int
    ) -> None:
        self.fakemail, self.sent_log, self.rng = fakemail, sent_log, rng
        self.emails, self.rate, self.poison = emails, emails / max(seconds, 0.1), poison
        self.sent = 0
        self.error: BaseException | None = None
        self._prefix = f"d{rng.randrange(16**6):06x}"
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Wait up to `seconds` until all emails are sent; DrillError if they are not, because of an error or the time."""
        self._thread.join(seconds)
        if self.sent < self.emails:
            why = self.error or f"FakeMail took no more within {seconds:g} s"
            raise DrillError(f"{self.sent} of {self.emails} emails were sent: {why}") from self.error

    def done(self) -> bool:
        """Return whether sending has ended."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            began, burst = time.monotonic(), max(1, min(MAX_BURST, int(self.rate)))
            while self.sent < self.emails:
                size = min(self.emails - self.sent, self.rng.randint(1, burst))
                self._send([self._email(self.sent + nth) for nth in range(size)])
                self.sent += size
                time.sleep(max(0.0, began + self.sent / self.rate - time.monotonic()))
        except BaseException as error:  # noqa: BLE001  (told by finish)
            self.error = error

    def _email(self, number: int) -> dict[str, Any]:
        template = self.rng.choice(TEMPLATE_EMAILS)
        email = {"id": f"{self._prefix}-{number:07d}", "subject": template["subject"], "body": template["body"]}
        spacing = max(2, self.emails // (4 * max(1, self.poison)))
        nth, rest = divmod(number, spacing)
        if rest == spacing // 2 and nth < self.poison:
            email["subject"] = MARK + KINDS[nth % len(KINDS)]
        return email

    def _send(self, emails: list[dict[str, Any]]) -> None:
        poison = {email["id"] for email in emails if email["subject"].startswith(MARK)}
        while True:
            try:
                answer = requests.post(f"{self.fakemail.url}/simulator/send_batch", json={"emails": emails}, timeout=5)
            except requests.RequestException:
                answer = None
            if answer is not None and answer.ok:
                body = answer.json()
                return self.sent_log.enter(Accepted(tuple(body["email_ids"]), body["history_id"]), poison)
            time.sleep(0.1)
