"""The whole system is killed: nothing is lost or counted twice, and the next start needs no help."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from tests.flow.system import ROOT, Simulator, System, elapsed, mails
from tests.flow.test_whole_way import assert_balanced
from tests.servers import wait_until


@pytest.fixture
def own(short_tmp: Path, request):
    """A system for this test alone."""
    running = System(short_tmp / f"own-{abs(hash(request.node.name)) % 10**6}", {"POLL_INTERVAL_S": "1"})
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()


def test_kills_of_everything_in_the_middle_of_the_work_lose_and_double_nothing(own):
    own.start()
    ids = [mail["id"] for mail in mails(1_500)]
    own.send(*mails(1_500))
    for _ in range(3):
        wait_until(lambda: own.get("/audit")["results"] > 0, "the first results")
        own.kill()
        own.start()
    audit = own.settle(len(ids), seconds=60)
    assert (audit["listed"], audit["results"], audit["dead"]) == (1_500, 1_500, 0)
    assert_balanced(audit)
    assert own.get("/stats")["total_emails_processed"] == 1_500
    events = _process_events(own)
    assert sorted(events) == sorted(ids), "each result was told exactly once"


def _process_events(system):
    """Return the email ids of all `process` events in the log."""
    found, after = [], None
    while True:
        page = system.get("/events", limit=1000, **({"after": after} if after else {}))
        found += [item["data"]["email_id"] for item in page["items"] if item["event"] == "process"]
        if not page["items"]:
            return found
        after = page["items"][-1]["seq"]


def test_a_killed_worker_or_front_is_replaced_and_nobody_is_blamed(own):
    own.start()
    for role in ("worker", "front"):
        own.send(*mails(300, prefix=role))
        os.kill(_pid(own, role), signal.SIGKILL)
        wait_until(lambda: _answers(own), "an answer")
    audit = own.settle(600, seconds=60)
    assert (audit["results"], audit["dead"]) == (600, 0)


def _pid(system, role):
    nodes = system.get("/actors")["nodes"]
    return next(process["pid"] for node in nodes for process in node["processes"] if process["role"] == role)


def _answers(system):
    try:
        return system.request("GET", "/health/ready").status_code == 200
    except OSError:
        return False


def test_sigterm_under_load_ends_within_ten_seconds_with_zero(own):
    own.start()
    own.send(*mails(1_000))
    began = time.monotonic()
    assert own.stop() == 0
    assert elapsed(began) < 10
    own.start()
    assert own.settle(1_000)["results"] == 1_000


def test_sigterm_while_a_call_to_fakemail_hangs_ends_as_well_as_ever(own, short_tmp):
    account = Simulator(short_tmp / "account")
    try:
        _is_stopped_while_it_waits_for(account, own)
    finally:
        account.stop()


def test_a_request_that_is_held_is_answered_when_the_system_stops(own):
    own.start()
    with closing(HTTPConnection(urlsplit(own.url).netloc, timeout=20)) as held:
        held.request("GET", "/results/nobody?wait=30")
        own.get("/stats")  # answered after the other request was read
        assert own.stop() == 0
        answer = held.getresponse()
        assert (answer.status, json.load(answer)["state"]) == (404, "unknown")


def _is_stopped_while_it_waits_for(account, own):
    own.env["FAKEMAIL_API_URL"] = account.url
    own.start()
    account.call("PUT", "/simulator/faults", {"latency_ms": 20_000})
    account.send(*mails(1))
    wait_until(lambda: _is_busy(own, "lister"), "a lister that waits for FakeMail")
    began = time.monotonic()
    assert own.stop() == 0
    assert elapsed(began) < 10
    assert "Traceback" not in own.log()
    assert "front stopped" in own.log()
    account.call("PUT", "/simulator/faults", {})
    own.start()
    assert own.settle(1)["results"] == 1


def _is_busy(system, kind):
    actors = [
        actor for node in system.get("/actors")["nodes"] for process in node["processes"] for actor in process["actors"]
    ]
    return any(actor["kind"] == kind and actor["busy_seconds"] is not None for actor in actors)


def test_a_second_server_on_the_same_data_says_so_in_one_line(own):
    own.start()
    second = subprocess.run(
        [sys.executable, "run.py", "serve"],
        cwd=ROOT,
        env=own.environ("0"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 75
    (line,) = second.stderr.strip().splitlines()
    assert str(own.folder) in line


def test_everything_in_one_process_works_as_well(own):
    own.env["PROCESSOR_PROCESSES"] = "0"
    own.start()
    own.send(*mails(200))
    assert own.settle(200)["results"] == 200
    (process,) = own.get("/actors")["nodes"][0]["processes"]
    assert process["role"] == "all"


@pytest.fixture
def stores_of_ones_own(own, postgres, valkey_url, redis_client):
    """Run the system on a new PostgreSQL database and an emptied Valkey."""
    name = f"flow_{time.monotonic_ns()}"
    own.env |= {"DATABASE_URL": postgres.url.replace("/postgres?", f"/{name}?"), "REDIS_URL": valkey_url}
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")


@pytest.mark.postgres
@pytest.mark.parametrize("redis_too", [False, True], ids=["database", "both stores"])
def test_sigterm_while_a_store_hangs_ends_in_time(own, stores_of_ones_own, postgres, redis_client, redis_too):
    own.start()
    hung = [psutil.Process(redis_client.info("server")["process_id"])] if redis_too else []
    hung.append(psutil.Process(postgres.process.pid))
    for process in hung:
        process.suspend()
    backends = hung[-1].children()  # there will be no more of them
    for process in backends:
        process.suspend()
    try:
        wait_until(lambda: own.get("/health")["components"]["database"]["status"] != "healthy", "a database that hangs")
        began = time.monotonic()
        assert own.stop() == 0
        took = elapsed(began)
    finally:
        for process in (*backends, *hung):
            process.resume()
    assert took < 10
    assert "s: killed" not in own.log()
    assert "front stopped" in own.log()


@pytest.mark.postgres
def test_redis_and_postgresql_of_ones_own_serve_as_well(own, stores_of_ones_own):
    own.start()
    own.send(*mails(300))
    own.kill()
    own.start()
    audit = own.settle(300, seconds=60)
    assert (audit["results"], audit["dead"]) == (300, 0)
    assert_balanced(audit)
