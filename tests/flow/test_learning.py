"""End to end, on two nodes: a correction stays, and trains the next model, which is promoted and rolled back."""

import json
import subprocess
import sys
import time

import pytest

from tests.flow.system import ROOT, System
from tests.servers import wait_until

TEXT = "Shall we meet on Monday at 10 to go through the plan?"
INTRO = [
    {"id": f"intro-{number}", "subject": f"Plan {number}", "body": TEXT, "sender": "anna@example.org"}
    for number in range(4)
]


ONE_NODE, TWO_NODES = "one node", "two nodes"


@pytest.fixture(scope="module", params=[ONE_NODE, pytest.param(TWO_NODES, marks=pytest.mark.postgres)])
def learning(request, short_tmp):
    """Two worker processes: of one node on SQLite, or of two nodes that share PostgreSQL and Redis."""
    shared = {} if request.param == ONE_NODE else shared_stores(request)
    processes = {"PROCESSOR_PROCESSES": "1" if shared else "2"}
    running = System(
        short_tmp / request.param.replace(" ", "-"), {"POLL_INTERVAL_S": "0.5", **processes, **shared}
    ).start()
    second = start_worker(running) if shared else None
    running.send(*INTRO)
    running.settle(len(INTRO))
    yield running
    if second:
        second.terminate()
        assert second.wait(20) == 0
    running.stop()


def shared_stores(request):
    """Return the environment of nodes that share their stores."""
    import psycopg

    url = request.getfixturevalue("postgres").url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE learning")
    return {
        "DATABASE_URL": url.replace("/postgres?", "/learning?"),
        "REDIS_URL": request.getfixturevalue("valkey_url"),
        "NODE_NAME": "first",
    }


def start_worker(system):
    """Start a worker node."""
    folder = system.folder.with_name("second")
    env = {**system.environ("0"), "DATA_DIR": str(folder), "NODE_NAME": "second"}
    with folder.with_suffix(".log").open("ab") as log:
        return subprocess.Popen([sys.executable, "run.py", "worker"], cwd=ROOT, env=env, stdout=log, stderr=log)


def task(system, path, body):
    """Start a task and wait for its end."""
    asked = system.request("POST", path, json=body)
    assert asked.status_code == 202, asked.text
    found = {}

    def ended():
        found.update(system.get(asked.headers["Location"]))
        return found["ended_at"]

    wait_until(ended, f"{path} done", 20)
    assert found["state"] == "done", found
    return found


def train(system):
    done = subprocess.run(
        [sys.executable, "run.py", "train", "--from-feedback", "--json"],
        cwd=ROOT,
        env=system.environ("0"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def versions_by_process(system, prefix):
    """Send mail until both worker processes have labelled some; return process → versions of the model it used."""
    found: dict[str, set[str]] = {}
    deadline = time.monotonic() + 30
    number = 0
    while len(found) < 2:
        assert time.monotonic() < deadline, found
        number += 1
        ids = system.send(*({"id": f"{prefix}-{number}-{n}", "subject": f"Plan {n}", "body": TEXT} for n in range(6)))
        for email_id in ids:
            result = system.get(f"/results/{email_id}", wait=10)
            found.setdefault(result["processor_id"].rpartition("/")[0], set()).add(result["model_version"])
    return found


def wait_for_all(system, version, prefix):
    """Wait until both processes use this version."""
    deadline = time.monotonic() + 20
    round_ = 0
    while (found := versions_by_process(system, f"{prefix}-{round_}")) != {process: {version} for process in found}:
        assert time.monotonic() < deadline, found
        round_ += 1


def test_a_correction_stays_moves_the_next_model_and_that_goes_live_and_back_everywhere(learning):
    packaged = learning.get("/models")["live"]
    assert learning.get("/results/intro-0")["classification"] == "meeting"

    # a person's label takes effect at once, and takes precedence over later judgements
    for email in INTRO[:3]:
        corrected = learning.post(f"/emails/{email['id']}/label", {"classification": "intro"})
        assert corrected["classification"] == learning.get(f"/results/{email['id']}")["classification"] == "intro"
    assert task(learning, "/reprocess", {"filter": {}})["done"] >= len(INTRO)
    assert learning.get("/results/intro-0")["decided_by"] == "person"

    # it changes the next model, which first runs beside the live one
    trained = train(learning)
    version = trained["version"]
    assert trained["corrections"] == 3
    assert trained["right_after"] > trained["right_before"]
    assert learning.get("/results/intro-0")["classification"] == "intro"
    wait_until(lambda: learning.get("/models")["shadow"] == version, "the shadow", 5)
    numbers = iter(range(1000))

    def compared():
        learning.send(
            {"id": f"shadow-{next(numbers)}", "subject": "Plan 3", "body": TEXT, "sender": "anna@example.org"}
        )
        time.sleep(0.2)
        return learning.get("/models")["agreement"]["compared"] >= 4 and learning.get("/models")["differing"]

    wait_until(compared, "the shadow is asked", 30)
    models = learning.get("/models")
    assert (models["live"], models["differing"][0]["shadow"]) == (packaged, "intro")
    corrected = {each["role"]: each["corrected"]["right"] for each in models["items"]}
    assert corrected["live"] < corrected["shadow"] == 3

    # it goes live in every process without a restart, and the old one comes back
    wait_for_all(learning, packaged, "before")
    nodes = {process.split("/")[0] for process in versions_by_process(learning, "nodes")}
    assert len(nodes) == (2 if "REDIS_URL" in learning.env else 1)
    assert learning.post(f"/models/{version}/promote", {})["live"] == version
    wait_for_all(learning, version, "promoted")
    dry = task(learning, "/reprocess", {"filter": {"model_version": packaged}, "dry_run": True})
    assert learning.get("/results/intro-3")["classification"] == "meeting"
    assert dry["counts"]["meeting_to_intro"] >= 1
    done = task(learning, "/reprocess", {"filter": {"model_version": packaged}})
    assert done["counts"] == dry["counts"]
    assert learning.get("/results/intro-3")["classification"] == "intro"
    assert learning.get("/results/intro-0")["decided_by"] == "person"
    assert learning.post(f"/models/{packaged}/promote", {})["previous"] == version
    wait_for_all(learning, packaged, "back")
    audit = learning.get("/audit")
    stats = learning.get("/stats")
    assert audit["results"] == stats["total_emails_processed"] == sum(stats["emails_by_classification"].values())


def test_a_rule_is_in_force_within_seconds_and_reaches_stored_mail_by_reprocessing(learning):
    rule = {"name": "anna", "conditions": [{"field": "sender", "kind": "glob", "pattern": "*@example.org"}]}
    tried = learning.post("/rules/test", {"rule": {**rule, "classification": "promotion"}})
    assert tried["matched"] >= len(INTRO)
    assert tried["would_change"] == tried["matched"] - 3
    made = learning.post("/rules", {**rule, "classification": "promotion"})
    numbers = iter(range(1000))

    def ruled():
        email_id = f"ruled-{next(numbers)}"
        learning.send({"id": email_id, "subject": "Plan", "body": TEXT, "sender": "Bert <bert@example.org>"})
        return learning.get(f"/results/{email_id}", wait=10)["decided_by"] == "rule"

    wait_until(ruled, "the rule is in force", 8)
    task(learning, "/reprocess", {"filter": {"sender": "anna@example.org"}})
    assert learning.get("/results/intro-3")["classification"] == "promotion"
    assert learning.get("/results/intro-0")["classification"] == "intro"
    assert learning.request("DELETE", f"/rules/{made['id']}").status_code == 204
    assert learning.script("run.py", "label", "intro-0", "--undo").returncode == 0
    assert learning.get("/results/intro-0")["decided_by"] == "rule"


def test_the_review_queue_answers(learning):
    page = learning.get("/review", limit=5)
    assert page["total"] >= len(page["items"])
    assert all(item["result"]["decided_by"] != "person" for item in page["items"])
    asked = learning.post("/review/opinions?limit=5", {})
    assert all(item["fakemail"] is not None for item in asked["items"])
