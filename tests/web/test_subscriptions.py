"""`/subscriptions` over HTTP: created, shown without the secret, tested, listed with deliveries, deleted."""

import time
from datetime import datetime

import pytest

from actors.events import encode_event
from engine import clock
from fakemail.egress import Egress
from fakemail.signature import verify
from tests.actors.receiver import Receiver


@pytest.fixture
def receiver():
    with Receiver() as server:
        yield server


@pytest.fixture
def made(system, receiver):
    return system.client.post("/subscriptions", {"url": receiver.url}).json


def test_the_secret_is_shown_once(system, receiver):
    reply = system.client.post("/subscriptions", {"url": receiver.url, "events": ["process", "dead"]})
    assert (reply.status, reply.headers["location"]) == (201, f"/subscriptions/{reply.json['id']}")
    assert reply.json["secret"].startswith("whsec_")
    shown = [system.client.get(reply.headers["location"]).json, *system.client.get("/subscriptions").json["items"]]
    assert all("secret" not in each and each["events"] == ["process", "dead"] for each in shown)
    assert "whsec" not in system.client.get("/actions").body.decode()


def test_without_a_place_it_begins_now_and_leaves_the_first_sync_out(system, made):
    assert made["after"] == system.services.mailboxes.log_bounds()[1]
    assert made["backlog"] is False


def test_it_begins_where_it_is_told_to(system, receiver):
    system.services.mailboxes.tell([encode_event("process", {"email_id": "a"}, 1.0)])
    seq = system.client.get("/events").json["items"][0]["seq"]
    for after, position in (("beginning", ""), (seq, seq)):
        answer = system.client.post("/subscriptions", {"url": receiver.url, "after": after}).json
        assert (answer["after"], answer["backlog"]) == (position, True)


def test_a_place_that_the_log_does_not_reach_back_to_is_gone(system, receiver):
    reply = system.client.post("/subscriptions", {"url": receiver.url, "after": "long-gone"})
    assert (reply.status, reply.json["reason"]) == (410, "another log")


@pytest.mark.parametrize("url", ["ftp://example.com", "http://10.0.0.1/", "http://user:word@example.com/", "nonsense"])
def test_a_url_that_may_not_be_called_is_refused(system, url):
    system.services.egress = Egress()
    assert system.client.post("/subscriptions", {"url": url}).status == 422


@pytest.mark.parametrize(
    "wrong", [{"url": ""}, {}, {"url": "http://a.example", "events": ["stats"]}, {"url": "http://a.example", "x": 1}]
)
def test_what_makes_no_sense_is_refused(system, wrong):
    assert system.client.post("/subscriptions", wrong).status == 422


def test_a_test_message_is_signed_and_its_fate_told_and_logged(system, receiver, made):
    reply = system.client.post(f"/subscriptions/{made['id']}/test").json
    assert (reply["delivered"], reply["status"]) == (True, 204)
    verify((made["secret"],), receiver.received[0].headers, receiver.received[0].body, time.time())
    receiver.answer = lambda _: 503
    assert system.client.post(f"/subscriptions/{made['id']}/test").json["error"] == "status 503"
    log = system.client.get(f"/subscriptions/{made['id']}/deliveries").json["items"]
    assert [(each["event"], each["status"]) for each in log] == [("test", 503), ("test", 204)]
    failed = system.client.get(f"/subscriptions/{made['id']}/deliveries?failed=true&limit=1").json
    assert [each["status"] for each in failed["items"]] == [503]


def test_one_that_is_forgotten_is_gone(system, made):
    path = f"/subscriptions/{made['id']}"
    assert system.client.delete(path).status == 204
    for reply in (system.client.get(path), system.client.delete(path), system.client.get(f"{path}/deliveries")):
        assert reply.status == 404
    assert system.client.post(f"{path}/enable", {}).status == 404


def test_enabling_may_move_it(system, made):
    assert system.client.post(f"/subscriptions/{made['id']}/enable", {"after": "beginning"}).json["after"] == ""


def test_there_is_a_limit(system, receiver, monkeypatch):
    monkeypatch.setattr("storage.subscriptions.MOST", 1)
    assert system.client.post("/subscriptions", {"url": receiver.url}).status == 201
    assert system.client.post("/subscriptions", {"url": receiver.url}).status == 409


def test_a_new_secret_is_shown_once_and_the_old_one_signs_for_a_day_too(system, made, receiver):
    path = f"/subscriptions/{made['id']}"
    rotated = system.client.post(f"{path}/rotate", {}).json
    assert rotated["secret"] not in ("", made["secret"])
    shown = system.client.get(path).json
    assert "secret" not in shown
    assert shown["old_secret_until"] == rotated["old_secret_until"] is not None
    assert system.client.post(f"{path}/test", {}).json["delivered"]
    for secret in (made["secret"], rotated["secret"]):
        verify((secret,), receiver.taken[-1].headers, receiver.taken[-1].body, time.time())
    system.client.post(f"{path}/rotate", {"grace_s": 0})
    assert system.client.get(path).json["old_secret_until"] is None


def test_what_may_be_left_out_altogether_needs_no_body(system, made):
    path = f"/subscriptions/{made['id']}"
    for act in ("rotate", "enable"):
        assert system.client.send("POST", f"{path}/{act}").status == 200
    refused = system.client.send("POST", "/subscriptions")
    assert (refused.status, "a body is required" in refused.json["detail"]) == (415, True)


def test_the_old_secret_ends_by_the_clock_that_nodes_share(system, made, receiver, monkeypatch):
    """This machine's own clock is an hour ahead of it."""
    monkeypatch.setattr("engine.clock._shared.offset", clock._shared.offset - 3600.0)
    path = f"/subscriptions/{made['id']}"
    until = system.client.post(f"{path}/rotate", {"grace_s": 600}).json["old_secret_until"]
    assert datetime.fromisoformat(until).timestamp() < time.time()
    assert system.client.post(f"{path}/test", {}).json["delivered"]
    verify((made["secret"],), receiver.taken[-1].headers, receiver.taken[-1].body, time.time())


def test_a_secret_of_ones_own_is_checked_before_it_replaces_another(system, made):
    path = f"/subscriptions/{made['id']}/rotate"
    assert system.client.post(path, {"secret": "short"}).status == 422
    assert system.client.post(path, {"grace_s": -1}).status == 422
    assert system.client.post("/subscriptions/999/rotate", {}).status == 404
