"""Secrets rotated under load: SIGHUP reads them again from their files, and no valid delivery is refused meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import gevent
import pytest
import requests

from fakemail.signature import new_secret, sign
from tests.flow.system import ROOT, System
from tests.servers import wait_until

pytestmark = pytest.mark.slow


def deliver(session: requests.Session, url: str, secret: str, number: int) -> int:
    body = json.dumps({"history_id": number}).encode()
    now = int(time.time())
    headers = {
        "webhook-id": f"msg_{secret[6:12]}_{number}",
        "webhook-timestamp": str(now),
        "webhook-signature": sign(secret, f"msg_{secret[6:12]}_{number}", now, body),
    }
    return session.post(f"{url}/webhook", body, headers=headers, timeout=10).status_code


class Sender:
    """FakeMail's side: delivers without pause, signed with the last secret that it was given."""

    def __init__(self, url: str, secret: str) -> None:
        self.url, self.secret = url, secret
        self.statuses: Counter[int] = Counter()
        self.stopping = False
        self.greenlets = [gevent.spawn(self.run, part) for part in range(4)]

    def run(self, part: int) -> None:
        with requests.Session() as session:
            number = part
            while not self.stopping:
                self.statuses[deliver(session, self.url, self.secret, number)] += 1
                number += 4

    def stop(self) -> None:
        self.stopping = True
        gevent.joinall(self.greenlets, raise_error=True)


def rotate(system: System, file: Path, *more: str) -> None:
    """Rotate the secret as a person does."""
    env = {**os.environ, "WEBHOOK_SECRET_FILE": str(file), "DATA_DIR": str(system.folder)}
    command = [sys.executable, "run.py", "secret", "rotate", "--reload", *more]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def wait_for_reading(system: System, times: int) -> None:
    wait_until(lambda: system.log().count("the secrets were read again") == times, f"reading {times}")


def test_rotations_under_load_refuse_no_good_delivery_and_old_secrets_end(start, tmp_path):
    file = tmp_path / "secret"
    file.write_text(new_secret())
    system = start(WEBHOOK_SECRET_FILE=str(file))
    sender = Sender(system.url, file.read_text().strip())
    old = sender.secret
    try:
        for turn in range(2):
            rotate(system, file)
            wait_for_reading(system, 2 * turn + 1)
            old, sender.secret = sender.secret, file.read_text().split()[0]
            gevent.sleep(0.1)  # deliveries signed with the old one are still in transit
            rotate(system, file, "--finish")
            wait_for_reading(system, 2 * turn + 2)
    finally:
        sender.stop()
    assert set(sender.statuses) == {202}
    assert sender.statuses[202] > 100
    with requests.Session() as session:
        assert deliver(session, system.url, old, 1_000_000) == 401
        assert deliver(session, system.url, sender.secret, 1_000_000) == 202
    [email_id] = system.send({"subject": "Signed by the simulator", "body": "with the newest secret"})
    assert system.get(f"/results/{email_id}", wait=10)["email_id"] == email_id


def test_tokens_are_read_again_too_and_wrong_files_change_nothing(start, tmp_path):
    file = tmp_path / "token"
    file.write_text("first-token")
    system = start(API_TOKEN_FILE=str(file))
    assert status(system, "first-token") == 200
    file.write_text("second-token")
    hang_up(system)
    wait_for_reading(system, 1)
    assert (status(system, "first-token"), status(system, "second-token")) == (401, 200)
    file.write_text("")  # empty for a moment while it is rewritten: that opens no door
    hang_up(system)
    wait_until(lambda: "the secrets stay as they are: API_TOKEN is no longer set" in system.log(), "the refusal")
    file.unlink()
    hang_up(system)
    wait_until(lambda: system.log().count("the secrets stay as they are") == 2, "the second refusal")
    assert status(system, "second-token") == 200
    assert system.request("GET", "/stats").status_code == 401


def status(system: System, token: str) -> int:
    return system.request("GET", "/stats", headers={"Authorization": f"Bearer {token}"}).status_code


def hang_up(system: System) -> None:
    assert system.process is not None
    os.kill(system.process.pid, signal.SIGHUP)
