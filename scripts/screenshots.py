"""Takes the README's pictures: `python -m scripts.screenshots [--out docs/images]`, run by `make screenshots`.

It starts a real server of its own, which its simulator fills with mail written for this project. To show a whole day,
it moves the times of the emails that were really processed. It needs Chromium and its driver, and the dashboard's
preferred font (Debian: fonts-inter), without which the pictures look different. It touches nothing outside a
temporary folder and --out.
"""

import argparse
import contextlib
import json
import math
import random
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.browser.driving import ROOT, Page, Server, chromium, wait_for

SYNTHETIC = ROOT / "classification" / "learning" / "synthetic" / "corpus.jsonl"
EMAILS, LOST, UNREADABLE = 4_000, 5, 3
DAY, LABELS = 86_400, ("meeting", "promotion", "intro", "unknown")
RULES: tuple[tuple[str, str, str, str, dict[str, str]], ...] = (
    ("Newsletters", "sender", "*@newsletter.example", "glob", {"classification": "promotion"}),
    ("Invitations first", "subject", r"\binvit(e|ation)\b", "regex", {"priority": "high"}),
    ("Board meetings", "subject", "board meeting", "literal", {"classification": "meeting", "priority": "high"}),
)
WIDE, NARROW = (1280, 800), (390, 844)


def main() -> None:
    """Fill a server and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory(prefix="ep-shots-") as folder:
        server = Server(Path(folder), NODE_NAME="mail-1", GONE_AFTER_S="2")
        dice = random.Random(11)
        mail = _mail(dice)
        try:
            server.start()
            _fill(server, mail)
            server.stop()
            _spread_over_a_day(Path(folder) / "data" / "emails.db", dice)
            server.start()
            sending = server.sending(lambda: dice.choice(mail), lambda: dice.expovariate(0.8))
            with _receiver() as url, sending, chromium() as page:
                _set_up(server, url)
                page.base = server.base
                _pictures(page, out)
        finally:
            server.stop()


def _mail(dice: random.Random) -> list[dict[str, Any]]:
    """Return a mix of classes like that of an inbox; the corpus itself has more emails that are hard to classify."""
    emails = [json.loads(line) for line in SYNTHETIC.read_text(encoding="utf-8").splitlines()]
    by_label = {name: [email for email in emails if email["label"] == name and email["sender"]] for name in LABELS}
    drawn = [dice.choice(by_label[name]) for name in dice.choices(LABELS, (30, 36, 13, 21), k=800)]
    return [{name: email[name] for name in ("subject", "body", "sender")} for email in drawn]


def _fill(server: Server, mail: list[dict[str, Any]]) -> None:
    server.lose(LOST)
    for start in range(0, EMAILS, 400):
        batch = [mail[(start + index) % len(mail)] for index in range(400)]
        server.ask("POST", "/simulator/send_batch", {"emails": batch})
    for number in range(UNREADABLE):  # ids that are too long to store: they become dead letters
        server.send("Too long an id", id=f"{number}" * 700)
    wait_for(lambda: _settled(server.ask("GET", "/audit")), "all emails processed", 120)


@contextlib.contextmanager
def _receiver() -> Iterator[str]:
    """Run a user's program that receives results by webhook; yields its URL."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            """Log nothing."""

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{receiver.server_port}/emails"
    receiver.shutdown()


def _set_up(server: Server, url: str) -> None:
    """Create rules, a webhook and a correction, as a user would."""
    for name, field, pattern, kind, answer in RULES:
        conditions = [{"field": field, "pattern": pattern, "kind": kind}]
        server.ask("POST", "/rules", {"name": name, "conditions": conditions, **answer})
    server.ask("POST", "/subscriptions", {"url": url, "events": ["process", "dead"]})
    first = server.ask("GET", "/review?limit=1")["items"][0]["result"]["email_id"]
    server.ask("POST", f"/emails/{first}/label", {"classification": "intro"})


def _settled(audit: dict[str, int]) -> bool:
    return bool(audit["results"] >= EMAILS and audit["dead"] >= LOST + UNREADABLE)


def _spread_over_a_day(path: Path, dice: random.Random) -> None:
    """Spread the results' times as a working day would, and recompute the counts by minute and hour."""
    now = time.time()
    times = sorted(_time_of_day(now, dice) for _ in range(EMAILS))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        rows = database.execute("SELECT id, ref, label FROM result ORDER BY id").fetchall()
        moved = list(zip(rows, times, strict=False))
        database.executemany("UPDATE result SET processed_at = ? WHERE id = ?", [(at, row[0]) for row, at in moved])
        database.executemany("UPDATE book SET listed_at = ? WHERE id = ?", [(at - 0.06, row[1]) for row, at in moved])
        database.execute("DELETE FROM bucket WHERE name = 'emails'")
        counts = Counter((step, int(at // step) * step, row[2]) for row, at in moved for step in (60, 3600))
        database.executemany(
            "INSERT INTO bucket (step, start, name, label, shard, value) VALUES (?, ?, 'emails', ?, 'shots', ?)",
            [(step, start, LABELS[label], value) for (step, start, label), value in counts.items()],
        )


def _time_of_day(now: float, dice: random.Random) -> float:
    while True:
        back = dice.uniform(0, 3_600) if dice.random() < 0.6 else dice.uniform(0, DAY)
        if dice.random() < 0.55 + 0.35 * math.sin(back / 700) * math.cos(back / 9_000):
            return now - back


def _pictures(page: Page, out: Path) -> None:
    page.size(*WIDE)
    page.open("now")
    time.sleep(45)  # until the strip of the last two minutes and the sparklines have something to show
    for theme in ("light", "dark"):
        page.theme(theme)
        page.size(*WIDE)
        page.go("now")
        page.sees("Newest")
        _settle_and_shoot(page, out / f"now-{theme}.png")
        page.go("emails?classification=meeting")
        page.until("return document.querySelectorAll('.row').length > 5")
        page.press("j")
        page.click("[data-why]", "Why?" if theme == "light" else "")
        page.until("return document.querySelector('.why') !== null")
        _settle_and_shoot(page, out / f"emails-{theme}.png")
        for route, what in (
            ("actors", "Mailboxes"),
            ("dead", "FakeMail no longer has it"),
            ("books", "Balanced"),
            ("simulator", "Send a burst"),
            ("review", "Skip"),
            ("rules", "Newsletters"),
            ("models", "Versions"),
            ("subscriptions", "process"),
        ):
            page.go("dead?reason=gone" if route == "dead" else route)
            page.sees(what, "main")
            if route in {"dead", "review", "rules"}:
                page.press("j")
            if route == "subscriptions":
                page.click("main a.mono", "emails")
            _settle_and_shoot(page, out / f"{route}-{theme}.png")
        page.size(*NARROW)
        for route in ("now", "emails"):
            page.go(route)
            _settle_and_shoot(page, out / f"phone-{route}-{theme}.png")


def _settle_and_shoot(page: Page, path: Path) -> None:
    time.sleep(2.5)
    page.shot(path)


if __name__ == "__main__":
    main()
