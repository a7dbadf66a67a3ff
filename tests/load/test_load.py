"""Real load runs: one passes on a healthy server, and fails if it exceeds its limits or the books do not balance."""

import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from commands.venv import ROOT
from engine.listening import free_port
from tests.servers import wait_until

FILE = "tests/load/locustfile.py"
QUICK = {**os.environ, "LOAD_SETTLE_S": "1"}
OK = {"listed": 0, "results": 0, "queued": 0, "retrying": 0, "dead": 0, "discarded": 0, "erased": 0, "unaccounted": 0}


@dataclass
class Stub:
    """A server that answers as it is told."""

    audit: dict[str, int] = field(default_factory=lambda: dict(OK))
    webhook: int = 202
    late: float = 0.0
    lost: int = 0
    sent: int = 0
    asked: int = 0

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        """Answer as the real server would."""
        self.asked += path != "/audit"
        if path == "/audit":
            listed = max(0, self.sent - self.lost)
            return 200, {**self.audit, "listed": self.audit["listed"] + listed, "results": listed}
        if path == "/webhook":
            threading.Event().wait(self.late)
            return self.webhook, {"status": "accepted"}
        if path == "/simulator/send_batch":
            self.sent += len(json.loads(body)["emails"])
            return 200, {"email_ids": [], "history_id": 1}
        return 200, {"history_id": 1}


@pytest.fixture
def serving():
    """A function that serves a stub on its own port and returns its URL."""
    servers = []

    def start(stub):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, value = stub.answer(self.command, self.path, body)
                text = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST  # noqa: N815  (the library's name)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def locust(url, scenario, enough, log):
    """Run users until it is enough; return (exit code, complaints, all output)."""
    command = [sys.executable, "-m", "locust", "-f", FILE, "--headless", "--only-summary", "--host", url]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "-u", "2", "-r", "2", scenario], cwd=ROOT, env=QUICK, stdout=output, stderr=output
        )
    try:
        wait_until(lambda: enough() or process.poll() is not None, "enough load", 60)
        process.terminate()
        code = process.wait(60)
    finally:
        process.kill()
        process.wait()
    text = log.read_text()
    return code, [line for line in text.splitlines() if line.startswith("FAIL")], text


def test_a_server_that_is_well_passes(serving, tmp_path):
    stub = Stub()
    code, complaints, text = locust(serving(stub), "SteadyMail", lambda: stub.asked >= 10, tmp_path / "log")
    assert (code, complaints) == (0, []), text
    assert re.search(r"the books balance, [1-9]\d* emails were sent", text)


@pytest.mark.parametrize(
    ("scenario", "stub", "complaint"),
    [
        ("SteadyMail", Stub(lost=5), "some are open or unknown"),
        ("SteadyMail", Stub(audit={**OK, "listed": 1, "queued": 1}), "some are open or unknown"),
        ("SteadyMail", Stub(audit={**OK, "listed": 3}), "the books do not balance"),
        ("SteadyMail", Stub(audit={**OK, "unaccounted": 1}), "the books do not balance"),
        ("WebhookBurst", Stub(webhook=503), r"\d+\.\d+% of the calls failed"),
        ("WebhookBurst", Stub(late=0.7), r"POST /webhook: p99 is \d+ ms, 500 may be"),
    ],
    ids=["lost", "open", "unbalanced", "unaccounted", "errors", "slow"],
)
def test_a_run_fails_by_its_own_limits_and_by_unbalanced_books(serving, tmp_path, scenario, stub, complaint):
    code, complaints, text = locust(serving(stub), scenario, lambda: stub.asked >= 10, tmp_path / "log")
    assert code == 1, text
    assert any(re.search(complaint, each) for each in complaints), complaints


def test_a_server_that_is_away_fails_the_run(tmp_path):
    log = tmp_path / "log"
    code, complaints, _ = locust("http://127.0.0.1:1", "SteadyMail", lambda: b"users spawned" in log.read_bytes(), log)
    assert code == 1
    assert any("the books cannot be read" in each for each in complaints)


def test_the_web_page_starts_and_runs_the_users_that_are_picked(serving, tmp_path):
    stub, port = Stub(), free_port()
    page, command = f"http://127.0.0.1:{port}", [sys.executable, "-m", "locust", "-f", FILE, "--class-picker"]
    command += ["--host", serving(stub), "--web-host", "127.0.0.1", "--web-port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        wait_until(lambda: "Dashboard" in _page(page), "the page", 60)
        picked = {"user_count": 2, "spawn_rate": 2, "user_classes": ["SteadyMail"]}
        assert requests.post(f"{page}/swarm", data=picked, timeout=20).ok
        wait_until(lambda: stub.sent > 0, "mail", 60)
        assert requests.post(f"{page}/stop", timeout=20).ok
        process.terminate()
        assert process.wait(30) == 0
        assert "the books balance" in (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()


def _page(url):
    try:
        return requests.get(url, timeout=20).text
    except requests.RequestException:
        return ""
