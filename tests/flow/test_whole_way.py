"""The whole way, as a new user takes it: scripts, import, resets, late mail; the books balance after each."""

import http.client
import json
import socket
import statistics
import time
from email.message import EmailMessage
from urllib.parse import quote, urlsplit

import pytest

from tests.flow.system import elapsed, mails
from tests.servers import wait_until

PARTS = ("results", "queued", "retrying", "dead", "discarded", "erased")


def assert_balanced(audit):
    assert audit["listed"] == sum(audit[part] for part in PARTS)
    assert audit["unaccounted"] == 0


@pytest.mark.parametrize(
    "script",
    [
        ("initialize_fakemail.py", "--test"),
        ("test_flow.py",),
        ("test_webhook.py",),
        ("test_large_batch.py", "300"),
        ("run.py", "status"),
    ],
    ids=lambda script: script[0],
)
def test_the_scripts_succeed_against_a_running_server(system, script):
    done = system.script(*script)
    assert done.returncode == 0, done.stdout + done.stderr


def test_after_a_reset_of_the_account_mail_comes_through_at_once(system):
    system.post("/simulator/reset", {})
    began = time.monotonic()
    done = system.script("test_flow.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert elapsed(began) < 10
    assert_balanced(system.settle(0))


def test_an_import_ends_in_one_result_each_and_a_second_one_changes_nothing(system, tmp_path):
    for number in range(30):
        message = EmailMessage()
        message["Subject"] = f"Lunch {number}"
        message["From"] = "ana@example.org"
        message.set_content("Shall we have lunch on Friday?")
        (tmp_path / f"{number}.eml").write_bytes(message.as_bytes())
    (tmp_path / "broken.eml").write_bytes(b"\xff\x00 no mail at all\r\n" * 50)
    before = system.settle(0)
    done = system.script("run.py", "import", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    after = system.settle(before["listed"] + 31)
    assert after["results"] + after["dead"] - before["results"] - before["dead"] == 31
    assert system.script("run.py", "import", str(tmp_path)).returncode == 0
    again = system.settle(0)
    assert (again["listed"], again["results"]) == (after["listed"], after["results"])


def test_ids_of_any_characters_go_the_whole_way(system):
    ids = ["a/b", "..", "ü ?#%41", "x" * 500]
    system.send(*({"id": email_id, "subject": "s", "body": "b"} for email_id in ids))
    for email_id in ids:
        answer = system.request("GET", f"/results/{quote(email_id, safe='').replace('.', '%2E')}", params={"wait": 10})
        assert (answer.status_code, answer.json()["email_id"]) == (200, email_id)


def test_an_email_that_becomes_listable_only_after_its_notification_is_found(system):
    with system.faults(late_visibility_ms=800):
        system.send({"id": "late", "subject": "s", "body": "b"})
        assert system.request("GET", "/results/late", params={"wait": 10}).status_code == 200


def test_an_email_that_fills_a_gap_later_is_found(system):
    with system.faults(gap_rate=1.0, gap_ms=1500):
        system.send({"id": "gap", "subject": "s", "body": "b"})
    system.send({"id": "after-gap", "subject": "s", "body": "b"})
    assert system.request("GET", "/results/after-gap", params={"wait": 10}).status_code == 200
    assert system.request("GET", "/results/gap", params={"wait": 20}).status_code == 200


def test_lost_notifications_cost_a_poll_and_no_mail(system):
    with system.faults(drop_rate=1.0):
        system.send({"id": "unannounced", "subject": "s", "body": "b"})
        assert system.request("GET", "/results/unannounced", params={"wait": 10}).status_code == 200


def test_a_fakemail_that_errs_and_throttles_makes_no_dead_letter(system):
    before = system.settle(0)
    with system.faults(error_rate=0.3, garbage_rate=0.1):
        ids = system.send(*mails(40, prefix="stormy"))
        time.sleep(1.0)
    audit = system.settle(before["listed"] + len(ids), seconds=60)
    assert audit["dead"] == before["dead"]
    assert_balanced(audit)


def test_keep_alive_requests_on_one_connection_are_quick(system):
    where = urlsplit(system.url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=10)
    times = []
    for _ in range(60):
        began = time.perf_counter()
        connection.request("GET", "/health/live")
        assert connection.getresponse().read()
        times.append(time.perf_counter() - began)
    connection.close()
    assert statistics.median(times) < 0.02, "delayed acknowledgements cost forty milliseconds"


def test_a_chunked_webhook_is_accepted(system):
    where = urlsplit(system.url)
    with socket.create_connection((where.hostname, where.port), 10) as raw:
        head = (
            f"POST /webhook HTTP/1.1\r\nHost: {where.netloc}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        raw.sendall(head.encode() + b'8\r\n{"histor\r\n9\r\ny_id": 1}\r\n0\r\n\r\n')
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 202")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"status": "accepted", "history_id": 1}


def test_the_pool_is_resized_and_paused_by_desired_state(system):
    system.post("/actors/resize", {"workers": 2})
    wait_until(lambda: _workers(system) == {2}, "two workers in each pool")
    system.post("/actors/pause", {})
    wait_until(lambda: _states(system) == {"paused"}, "all classifiers paused")
    (email_id,) = system.send({"subject": "s", "body": "b"})
    answer = system.request("GET", f"/results/{email_id}", params={"wait": 1})
    assert answer.status_code == 404
    system.post("/actors/resume", {})
    assert system.request("GET", f"/results/{email_id}", params={"wait": 10}).status_code == 200
    system.post("/actors/resize", {"workers": 3})


def _classifiers(system):
    nodes = system.get("/actors")["nodes"]
    return [
        actor
        for node in nodes
        for process in node["processes"]
        for actor in process["actors"]
        if actor["kind"] == "classifier"
    ]


def _workers(system):
    nodes = system.get("/actors")["nodes"]
    return {process["workers"] for node in nodes for process in node["processes"] if process["role"] == "worker"}


def _states(system):
    return {actor["state"] for actor in _classifiers(system)}


def test_metrics_come_from_every_process_of_the_node(system):
    text = system.request("GET", "/metrics").text
    assert 'process="front"' in text
    assert 'process="worker-1"' in text
    assert "emailproc_" in text
