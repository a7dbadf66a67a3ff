"""Two accounts with equal ids, one slow and faulty: each email belongs to its own source, and the books balance."""

import json
import os
import subprocess
import sys
import time

import pytest
import requests

from fakemail.signature import sign
from tests.flow.system import ROOT, Simulator, System
from tests.flow.test_whole_way import assert_balanced
from tests.servers import wait_until

COUNT = 150
SECRET = "support-secret"
FAULTS = {"latency_ms": 100, "error_rate": 0.1, "rate_limit_rate": 0.02, "duplicate_rate": 0.3, "reorder_rate": 0.3}


@pytest.fixture(scope="module")
def simulators(short_tmp):
    stamp = time.monotonic_ns() % 10**6
    made = [Simulator(short_tmp / f"source-{name}-{stamp}", secret) for name, secret in (("a", ""), ("b", SECRET))]
    yield made
    for each in made:
        each.stop()


@pytest.fixture(scope="module")
def two(short_tmp, simulators):
    """A system with the sources main (healthy) and support (slow, faulty)."""
    well, faulty = simulators
    sources = {"support": {"url": faulty.url, "token": "tok", "webhook_secret": SECRET}}
    env = {"FAKEMAIL_API_URL": well.url, "FAKEMAIL_SOURCES": json.dumps(sources), "POLL_INTERVAL_S": "0.5"}
    running = System(short_tmp / f"two-{time.monotonic_ns() % 10**6}", env).start()
    yield running
    running.stop()


def mails(source, count, prefix="same"):
    return [
        {"id": f"{prefix}-{number}", "subject": f"{source} {number}", "body": f"Shall we meet? {source}"}
        for number in range(count)
    ]


def test_equal_ids_of_two_accounts_are_two_emails_and_each_source_balances(two, simulators):
    well, faulty = simulators
    faulty.call("PUT", "/simulator/faults", FAULTS)
    faulty.send(*mails("support", COUNT))
    well.send(*mails("main", COUNT), *mails("main", 1, "only-main"))
    faulty.send(*mails("support", 1, "only-support"))
    began = time.monotonic()
    wait_until(lambda: two.get("/audit", source="main")["results"] == COUNT + 1, "the well source's results", 20)
    quick = time.monotonic() - began
    audit = two.settle(2 * COUNT + 2, seconds=60)
    assert_balanced(audit)
    assert audit["results"] == 2 * COUNT + 2, "an outage alone makes no dead letter"
    for source in ("main", "support"):
        part = two.get("/audit", source=source)
        assert_balanced(part)
        assert part["results"] == COUNT + 1
        for email_id in ("same-0", f"same-{COUNT - 1}"):
            found = two.get(f"/results/{email_id}", source=source, include_content="true")
            assert (found["source"], found["subject"].split()[0]) == (source, source)
        page = two.get("/emails", source=source, limit=100)
        assert {item["source"] for item in page["items"]} == {source}
    assert two.get("/results/same-1")["source"] == "main", "main goes first"
    assert two.get("/results/only-support-0")["source"] == "support", "the only one that knows it"
    assert two.request("GET", "/results/only-main-0", params={"source": "support"}).status_code == 404
    assert set(two.get("/stats")["last_history_ids"]) == {"main", "support"}
    assert two.get("/stats", source="support")["total_emails_processed"] == COUNT + 1
    assert quick < 20, "a slow source holds up nobody"


def test_webhooks_of_a_source_bear_its_own_secret(two):
    body = json.dumps({"history_id": 1}).encode()
    now = int(time.time())
    signed = {
        "webhook-id": "m1",
        "webhook-timestamp": str(now),
        "webhook-signature": sign(SECRET, "m1", now, body),
    }

    def post(path, headers):
        return requests.post(two.url + path, data=body, headers=headers, timeout=10).status_code

    assert post("/webhook/support", signed) == 202
    assert post("/webhook/support", {}) == 401
    assert post("/webhook", {}) == 202, "main has no secret"
    assert post("/webhook/nobody", signed) == 404
    wait_until(lambda: two.get("/notifications", source="support")["items"] != [], "the notification")


def test_each_account_is_prepared_by_the_script_and_a_test_email_of_each_goes_through(two, simulators):
    well, faulty = simulators
    faulty.call("PUT", "/simulator/faults", {})
    env = {name: two.env[name] for name in ("FAKEMAIL_API_URL", "FAKEMAIL_SOURCES")}

    def script(*argv):
        command = [sys.executable, "initialize_fakemail.py", *argv]
        whole = {**os.environ, **env, "BASE_URL": two.url}
        return subprocess.run(command, cwd=ROOT, env=whole, capture_output=True, text=True, timeout=120, check=False)

    before = {name: two.get("/audit", source=name)["results"] for name in ("main", "support")}
    done = script("--test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("a test email was classified") == 2
    for name, results in before.items():
        assert two.get("/audit", source=name)["results"] == results + 1
    for each, path in ((well, "/webhook"), (faulty, "/webhook/support")):
        assert two.url + path in each.call("GET", "/simulator/status")["webhook_urls"]
    done = script("--source", "support", "--test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (well.url in done.stdout, faulty.url in done.stdout) == (False, True)
    wrong = script("--source", "nobody")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "main, support" in wrong.stderr
    env["FAKEMAIL_SOURCES"] = "{no json"
    refused = script()
    assert (refused.returncode, refused.stderr.count("\n")) == (78, 1)


def test_a_task_of_one_source_lists_that_account_again(two, simulators):
    well, faulty = simulators
    faulty.call("PUT", "/simulator/faults", {})
    before = two.get("/audit")["listed"]
    well.send(*mails("main", 3, "again"))
    faulty.send(*mails("support", 4, "again"))
    two.settle(before + 7)
    listed = two.get("/audit", source="support")["listed"]
    answer = two.request("POST", "/resync", params={"source": "support"}, json={"from": "beginning"})
    location = answer.headers["Location"]
    wait_until(lambda: two.get(location)["state"] == "done", "the task's end")
    assert (two.get(location)["done"], two.get(location)["recovered"]) == (listed, 0)


def test_an_account_that_goes_away_degrades_the_health_and_the_other_goes_on(two, simulators):
    well, faulty = simulators
    faulty.process.terminate()
    faulty.process.wait(10)
    before = two.get("/audit", source="main")["results"]
    well.send(*mails("main", 20, "on"))
    wait_until(lambda: two.get("/audit", source="main")["results"] == before + 20, "main's results", 20)

    def told():
        found = two.get("/health")["components"]["fakemail"]
        return found["status"] == "degraded" and found["reason"].startswith("support: ")

    wait_until(told, "degraded", 20)
    assert two.get("/health")["status"] == "degraded"


def test_secrets_of_sources_are_hidden_and_another_url_is_refused(two, short_tmp):
    log = two.log()
    assert SECRET not in log
    assert '"tok"' not in log
    folder = two.folder
    two.stop()
    sources = {"support": {"url": "http://127.0.0.1:1/other"}}
    env = {**two.environ("0"), "FAKEMAIL_SOURCES": json.dumps(sources), "DATA_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "run.py", "serve"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 78
    assert "source support of this database belongs to" in done.stderr + done.stdout
