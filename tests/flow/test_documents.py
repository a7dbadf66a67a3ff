"""The instructions for newcomers, run against a real system: docs/api.md, docs/first-webhook.md, the commands."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from engine.listening import free_port
from tests.flow.system import ROOT, System
from tests.servers import wait_until

BLOCK = re.compile(r"```(sh|python)\n(.*?)```", re.DOTALL)
API, FIRST = (ROOT / "docs" / name for name in ("api.md", "first-webhook.md"))
TASKS = re.split(r"^(?=## \d+\. |# Rules)", API.read_text(encoding="utf-8"), flags=re.MULTILINE)
SECONDS = 60


def blocks(text: str, kind: str) -> list[str]:
    return [body for found, body in BLOCK.findall(text) if found == kind]


@contextmanager
def shell(script: str, folder: Path, system: System, port: int = 9000) -> Iterator["subprocess.Popen[str]"]:
    """Run a script as in a terminal; whatever it leaves running ends with it."""
    script = script.replace("http://127.0.0.1:8005", system.url).replace("127.0.0.1:9000", f"127.0.0.1:{port}")
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env={**os.environ, "PATH": path()}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        assert process.stdout
        process.stdout.close()


def path() -> str:
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def test_there_are_ten_tasks_each_with_curl_and_python():
    numbered = [task for task in TASKS if re.match(r"## \d+\. ", task)]
    assert [int(task.split()[1].rstrip(".")) for task in numbered] == list(range(1, 11))
    assert all(blocks(task, "sh") and blocks(task, "python") for task in numbered)


def test_every_curl_of_the_tasks_is_answered_well(system, tmp_path):
    numbered = [task for task in TASKS if re.match(r"## \d+\. ", task)]
    lines = "\n".join(block for task in numbered for block in blocks(task, "sh"))
    with shell(lines, tmp_path, system) as process:
        out, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, out
    assert '"classification":"meeting"' in out
    assert '"secret":"whsec_' in out


def test_the_python_of_the_tasks_runs_from_top_to_bottom(system, tmp_path):
    system.send({"id": "hello/1", "subject": "Lunch", "body": "Lunch on Friday?"})
    script = "\n".join(block for task in TASKS if not task.startswith("# Rules") for block in blocks(task, "python"))
    file = tmp_path / "tasks.py"
    file.write_text(script.replace("http://127.0.0.1:8005", system.url).replace("127.0.0.1:9000", "127.0.0.1:1"))
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("promotion")


def test_the_check_of_a_signature_in_the_documents_is_right():
    from fakemail.signature import new_secret, sign

    scope: dict[str, Any] = {}
    [code] = [block for task in TASKS for block in blocks(task, "python") if "def is_ours" in block]
    exec(code.partition("made = ")[0], scope)
    secret, now = new_secret(), int(scope["time"].time())
    headers = {"webhook-id": "a", "webhook-timestamp": str(now), "webhook-signature": sign(secret, "a", now, b"{}")}
    assert scope["is_ours"](secret, headers, b"{}")
    assert not scope["is_ours"](secret, headers, b"{ }")
    assert not scope["is_ours"](secret, {**headers, "webhook-timestamp": str(now - 400)}, b"{}")


def test_a_newcomers_ten_minutes_end_with_a_signed_event_at_their_own_program(system, tmp_path):
    text, port = FIRST.read_text(encoding="utf-8"), free_port()
    first, *rest = blocks(text, "sh")
    assert first.splitlines()[-1] == "make run"
    [receiver] = blocks(text, "python")
    (tmp_path / "receiver.py").write_text(receiver.replace("9000", str(port)))
    with shell("\n".join(rest) + "\nsleep 60\n", tmp_path, system, port):
        received = tmp_path / "received.txt"

        def has_come() -> bool:
            told = received.read_text() if received.exists() else ""
            return "a test message came" in told and "Lunch on Friday?" in told

        wait_until(has_come, "the event at the receiver", SECONDS)
    assert received.read_text().splitlines()[-1].startswith("meeting 0.")
    made = json.loads((tmp_path / "subscription.json").read_text())
    system.request("DELETE", f"/subscriptions/{made['id']}").raise_for_status()


def test_a_kill_of_everything_leaves_no_gap_at_a_subscriber(system):
    from tests.actors.receiver import Receiver

    with Receiver() as receiver:
        made = system.post("/subscriptions", {"url": receiver.url, "events": ["process"]})
        ids = [f"killed-{number}" for number in range(60)]
        system.send(*({"id": each, "subject": each, "body": "Shall we meet on Monday?"} for each in ids[:30]))
        wait_until(lambda: len(receiver.taken) > 3, "the first deliveries")
        system.kill()
        system.start()
        system.send(*({"id": each, "subject": each, "body": "Shall we meet on Monday?"} for each in ids[30:]))

        def all_came() -> bool:
            return {each.json["data"]["email_id"] for each in receiver.taken} >= set(ids)

        wait_until(all_came, "all events at the subscriber", SECONDS)
        seqs = list(dict.fromkeys(each.json["seq"] for each in receiver.taken))
        assert seqs == sorted(seqs)
        repeated = len(receiver.taken) - len({each.id for each in receiver.taken})
        assert repeated <= 50  # what was delivered but not yet recorded comes again, with its id
        system.request("DELETE", f"/subscriptions/{made['id']}").raise_for_status()


@pytest.mark.parametrize("words", [("search", "lunch"), ("export", "--limit", "2"), ("doctor",), ("status", "--json")])
def test_the_commands_that_read_work_against_it(system, words):
    system.send({"id": "for-commands", "subject": "Lunch", "body": "Lunch on Friday?"})
    system.get("/results/for-commands", wait=10)
    done = system.script("run.py", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
    assert "\x1b" not in done.stdout


def test_what_the_alerts_ask_for_is_measured(system):
    wanted = ("emailproc_emails", "emailproc_oldest_queued_age_seconds", "emailproc_redis_memory_bytes", "emailproc_disk_free_bytes",
              "emailproc_database_bytes", "emailproc_fakemail_breaker_open", "emailproc_process_restarts", "emailproc_unaccounted_emails",
              "emailproc_canary_age_seconds", "emailproc_subscriptions")  # fmt: skip

    def all_there() -> bool:
        text = system.request("GET", "/metrics").text
        led = 'emailproc_leaders_missing{process="front"} 0.0' in text
        return led and all(f"\n{name}{{" in text for name in wanted)

    wait_until(all_there, "all metrics of the alerts", SECONDS)


def test_an_export_is_a_table(system, tmp_path):
    file = tmp_path / "out.csv"
    done = system.script("run.py", "export", "--format", "csv", "--output", str(file))
    assert done.returncode == 0, done.stderr
    with file.open(encoding="utf-8", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == system.get("/stats")["total_emails_processed"]


def test_tail_shows_an_email_as_it_comes(system):
    env = {**os.environ, "BASE_URL": system.url}
    command = [sys.executable, "run.py", "tail", "--event", "process", "--json"]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout
        try:
            wait_until(lambda: system.get("/health")["metrics"].get("websockets", 1) > 0, "a connected client")
            for number in range(200):
                system.send({"id": f"tailed-{number}", "subject": "Lunch", "body": "Lunch on Friday?"})
                if tail_has_line(tail):
                    break
            assert json.loads(tail.stdout.readline())["event"] == "process"
        finally:
            tail.kill()


def tail_has_line(tail: "subprocess.Popen[str]") -> bool:
    from gevent import select

    return bool(select.select([tail.stdout], [], [], 0.3)[0])
