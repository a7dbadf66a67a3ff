"""`/resync` and `/tasks` over HTTP."""

import pytest

from actors import replaying
from tests.storage.books_fixtures import burial, enter


def resync(system, body, **options):
    return system.client.post("/resync", body, **options)


@pytest.mark.parametrize(("start", "place"), [("beginning", 0), (0, 0), (42, 42), (2**63 - 1, 2**63 - 1)])
def test_a_resync_is_a_task_with_an_address(system, start, place):
    answer = resync(system, {"from": start})
    assert answer.status == 202
    where = answer.headers["location"]
    task = system.client.get(where).json
    assert where == f"/tasks/{task['id']}"
    assert task["state"] == "queued"
    assert task["params"] == {"from": place, "source": "main"}
    assert (task["done"], task["total"], task["recovered"]) == (0, None, 0)


@pytest.mark.parametrize("body", [{}, {"from": -1}, {"from": "end"}, {"from": 1.5}, {"from": True}, {"from": None}, []])
def test_a_resync_from_nowhere_is_refused(system, body):
    assert resync(system, body).status == 422


def test_a_resync_of_an_unknown_source_is_404(system):
    assert system.client.post("/resync?source=other", {"from": 0}).status == 404


def test_a_task_is_cancelled_once_and_says_so_again(system):
    where = resync(system, {"from": 0}).headers["location"]
    assert system.client.delete(where).json["state"] == "cancelled"
    assert system.client.delete(where).json["state"] == "cancelled"
    assert system.client.get(where).json["state"] == "cancelled"


def test_a_task_that_has_ended_cannot_be_cancelled(system):
    where = resync(system, {"from": 0}).headers["location"]
    task_id = int(where.rsplit("/", 1)[1])
    system.services.tasks.claim(task_id, "me")
    system.services.tasks.finish(task_id, "me")
    assert system.client.delete(where).status == 409


@pytest.mark.parametrize("task_id", ["999", "x", "%00", "99999999999999999999", "-1"])
def test_no_such_task(system, task_id):
    assert system.client.get(f"/tasks/{task_id}").status == 404
    assert system.client.delete(f"/tasks/{task_id}").status == 404


def test_tasks_are_listed_newest_first(system):
    for start in range(3):
        resync(system, {"from": start})
    page = system.client.get("/tasks?limit=2").json
    assert [each["params"]["from"] for each in page["items"]] == [2, 1]
    rest = system.client.get(f"/tasks?limit=2&cursor={page['next_cursor']}").json
    assert [each["params"]["from"] for each in rest["items"]] == [0]


def test_a_large_replay_becomes_a_task(system, monkeypatch):
    from web import dead_letters

    monkeypatch.setattr(dead_letters, "BATCH", 3)
    refs = enter(system.services.books, [f"m{number}" for number in range(5)])
    system.services.dead_letters.bury([burial(ref, f"m{number}") for number, ref in enumerate(refs)])
    counted = system.client.post("/dead-letters/replay", {"dry_run": True, "reason": "classifier_error"})
    assert (counted.status, counted.json) == (200, {"matched": 5, "replayed": 0, "dry_run": True})
    answer = system.client.post("/dead-letters/replay", {"reason": "classifier_error", "per_second": 7})
    assert answer.status == 202
    task = system.client.get(answer.headers["location"]).json
    assert (task["kind"], task["params"]["per_second"]) == (replaying.KIND, 7)
    assert task["params"]["filter"] == {"reason": "classifier_error"}


def test_a_replay_of_named_letters_opens_those_alone(system):
    refs = enter(system.services.books, [f"m{number}" for number in range(5)])
    found = system.services.dead_letters.bury([burial(ref, f"m{number}") for number, ref in enumerate(refs)])
    answer = system.client.post("/dead-letters/replay", {"ids": [found[0].id, found[3].id, 999_999]})
    assert answer.json == {"matched": 2, "replayed": 2, "dry_run": False}
    assert system.services.books.audit().dead == 3
