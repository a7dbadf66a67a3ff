"""When a result was announced: found in the event log after the result's own time, or unknown."""

import time

import pytest

from actors.events import process_event
from engine.errors import DependencyTrouble
from storage.event_log import told_at


def names(system, email_id):
    return [stage["name"] for stage in system.client.get(f"/emails/{email_id}/timeline").json["stages"]]


def test_the_timeline_tells_when_the_result_was_told(system):
    system.process("a/b é", processed_at=time.time())
    stages = {stage["name"]: stage for stage in system.client.get("/emails/a%2Fb%20%C3%A9/timeline").json["stages"]}
    assert stages["stored"]["at"] <= stages["pushed"]["at"]
    assert stages["pushed"]["duration_ms"] >= 0


def test_it_is_the_time_of_this_very_result(system):
    (older,) = system.process("a", processed_at=time.time() - 5)
    system.process("other", "a-b", processed_at=time.time())
    system.services.mailboxes.tell([process_event(older)])
    _, newest = system.services.mailboxes.log_bounds()
    at = system.client.get("/emails/a/timeline").json["stages"][-1]
    assert at["name"] == "pushed"
    assert at["duration_ms"] <= (told_at(newest) - older.processed_at) * 1000 + 1


def test_what_a_person_corrected_later_is_still_told_of(system):
    system.process("a", processed_at=time.time())
    system.client.post("/emails/a/label", {"classification": "intro"})
    assert {"pushed", "corrected"} <= set(names(system, "a"))


def test_an_email_without_a_result_was_not_told_of(system):
    system.enter("a")
    system.bury("b")
    assert "pushed" not in names(system, "a") + names(system, "b")


@pytest.mark.parametrize(("most", "found"), [(4, False), (400, True)])
def test_only_so_many_events_are_looked_through(system, monkeypatch, most, found):
    now = time.time()
    monkeypatch.setattr("web.pushed.A_PAGE", 4)
    monkeypatch.setattr("web.pushed.MOST_EVENTS", most)
    system.process(*(f"before-{number}" for number in range(20)), processed_at=now)
    system.process("a", processed_at=now)
    assert ("pushed" in names(system, "a")) is found


def test_what_was_told_much_later_is_not_looked_for(system, monkeypatch):
    monkeypatch.setattr("web.pushed.A_PAGE", 4)
    long_ago = time.time() - 3600
    system.process(*(f"before-{number}" for number in range(20)), processed_at=long_ago)
    system.process("a", processed_at=long_ago)
    assert "pushed" not in names(system, "a")


def test_a_log_that_was_cut_since_does_not_tell(system):
    system.process("a", processed_at=time.time())
    system.process("b", processed_at=time.time())
    system.services.mailboxes.forget_events(time.time() + 60, 100)
    assert "pushed" not in names(system, "a")


def test_without_redis_the_timeline_is_told_as_far_as_the_books_know_it(system, monkeypatch):
    system.process("a", processed_at=time.time())

    def away(*_args, **_options):
        raise DependencyTrouble("connection refused", dependency="redis")

    monkeypatch.setattr(system.services.mailboxes, "log_bounds", away)
    assert "stored" in names(system, "a")
    assert "pushed" not in names(system, "a")
