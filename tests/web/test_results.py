"""One result, waited for, explained, or refused with its state; the list of all; classifying without storing."""

import time

import gevent
import msgspec
import pytest

from classification.model import Classifier
from engine.mailbox import LogEntry
from storage.retention import Retention
from tests.servers import wait_until
from tests.storage.books_fixtures import attempt, result
from tests.web.server_clients import RawClient
from web import results
from web.routes import ROUTES
from web.services import Access
from web.validation import make_cursor
from web.waiting import WaitingRoom


def test_a_result_is_answered_as_the_contract_says(system):
    system.process("a")
    reply = system.client.get("/results/a")
    assert reply.status == 200
    item = reply.json
    assert (item["email_id"], item["classification"], item["confidence"], item["source"]) == (
        "a",
        "meeting",
        0.9,
        "main",
    )
    assert (item["decided_by"], item["model_version"], item["processor_id"]) == ("model", "v1", "node/w1/classifier-1")
    assert item["processed_at"].endswith("Z")
    assert item["processing_time_ms"] == 0.1
    assert item["total_ms"] > item["queued_ms"] > 0
    assert "subject" not in item


def test_its_text_and_its_reasons_come_when_asked_for(system):
    system.process("a")
    item = system.client.get("/results/a?include_content=true&explain=true").json
    assert item["subject"] == "subject of a"
    assert item["body"].startswith("body ")
    assert sum(item["probabilities"].values()) == pytest.approx(1)
    assert set(item["explanation"]) == {"model_version", "evidence", "margin", "distance_to_threshold", "flip"}
    assert item["explanation"]["model_version"] == system.services.classifier.version != item["model_version"]


def test_a_model_that_is_not_live_any_more_gives_its_own_reasons_while_it_is_in_memory(system):
    deciders = system.services.classifier
    system.process("a", model_version=deciders.packaged.version)
    deciders.classifier = Classifier(deciders.packaged._learned, "promoted")
    assert (
        system.client.get("/results/a?explain=true").json["explanation"]["model_version"] == deciders.packaged.version
    )
    said = system.client.post("/classify", {"subject": "a", "body": "b"}).json
    assert said["explanation"]["model_version"] == said["model_version"] == "promoted"


def test_there_are_no_reasons_of_a_text_that_is_forgotten(system, database):
    system.process("a")
    while Retention(database).slice("bodies", time.time() + 60).more:
        pass
    item = system.client.get("/results/a?explain=true").json
    assert (item["classification"], item["explanation"]) == ("meeting", None)


@pytest.mark.parametrize("email_id", ["a/b", "ä ö", "100%", "a\\b", "\x00nul", "..", "?q=1#x", "x" * 600])
def test_ids_of_any_characters_are_percent_encoded(system, email_id):
    from urllib.parse import quote

    from storage.keys import email_key

    refs = system.enter(email_id)
    key = email_key(email_id)
    if refs:
        system.services.results.save([result(refs[0], key)], shard="t")
    reply = system.client.get(f"/results/{quote(email_id, safe='')}")
    assert reply.status == (200 if refs else 404)
    if refs:
        assert reply.json["email_id"] == email_id
    else:
        assert (reply.json["state"], reply.json["reason"]) == ("dead", "invalid_email")


def test_a_lone_surrogate_can_be_asked_for_too(system):
    [ref] = system.enter("a\ud800")
    system.services.results.save([result(ref, "a\\ud800")], shard="t")
    assert system.client.get("/results/a%ED%A0%80").status == 200


def test_an_unknown_id_is_404_with_its_state(system):
    reply = system.client.get("/results/nobody")
    assert (reply.status, reply.json["state"]) == (404, "unknown")
    assert {name: reply.json[name] for name in ("reason", "attempts", "next_attempt_at")} == {
        "reason": None,
        "attempts": 0,
        "next_attempt_at": None,
    }
    assert "retry-after" not in reply.headers


def test_a_queued_email_is_404_and_says_when_to_ask_again(system):
    system.enter("a")
    reply = system.client.get("/results/a")
    assert (reply.status, reply.json["state"], reply.json["attempts"]) == (404, "queued", 0)
    assert (reply.json["reason"], reply.json["next_attempt_at"]) == (None, None)
    assert reply.headers["retry-after"] == "1"


def test_a_retrying_email_says_why_and_when(system):
    [ref] = system.enter("a")
    system.services.books.postpone([attempt(ref, "a")])
    reply = system.client.get("/results/a")
    problem = reply.json
    assert (problem["state"], problem["attempts"], problem["reason"]) == ("retrying", 1, "classifier_error")
    assert problem["error"] == "ValueError: no"
    assert problem["next_attempt_at"].endswith("Z")
    assert 50 <= int(reply.headers["retry-after"]) <= 60


def test_a_dead_email_says_its_reason(system):
    [letter] = system.bury("a", reason="gone")
    problem = system.client.get("/results/a").json
    assert (problem["state"], problem["reason"]) == ("dead", "gone")
    system.services.dead_letters.discard(letter.id)
    problem = system.client.get("/results/a").json
    assert (problem["state"], problem["reason"]) == ("discarded", "gone")


def test_of_several_sources_main_goes_first_and_others_must_be_named(system):
    books = system.services.books
    one, two = books.open_source("one", "x"), books.open_source("two", "y")
    system.process("shared", source=one)
    assert system.client.get("/results/shared").json["source"] == "one"
    system.process("shared", source=two)
    reply = system.client.get("/results/shared")
    assert (reply.status, reply.json["sources"]) == (409, ["one", "two"])
    assert system.client.get("/results/shared?source=two").json["source"] == "two"
    assert system.client.get("/results/shared?source=three").json["state"] == "unknown"
    system.process("shared")
    assert system.client.get("/results/shared").json["source"] == "main"


def publish(system):
    """Publish events as the broadcaster does."""
    hub, page = system.services.hub, system.services.mailboxes.read_log("", count=100)
    hub.publish(page.entries)


def test_waiting_ends_with_the_emails_event(system, monkeypatch):
    monkeypatch.setattr(results, "LOOK_AGAIN_S", 60.0)
    system.enter("a")
    waiting = gevent.spawn(system.client.get, "/results/a?wait=30")
    wait_until(lambda: bool(system.services.hub._waiting), "somebody who waits")
    [row] = system.services.books.find("a")
    system.services.results.save([result(row.ref, "a")], shard="t")
    assert not waiting.ready()
    system.services.hub.publish([LogEntry("s1", b'{"event":"process","data":{"email_id":"a"},"timestamp":"t"}')])
    assert waiting.get(timeout=20).status == 200


def test_waiting_ends_without_the_event_too(system, monkeypatch):
    monkeypatch.setattr("web.results.LOOK_AGAIN_S", 0.05)
    system.enter("a")
    waiting = gevent.spawn(system.client.get, "/results/a?wait=20")
    wait_until(lambda: bool(system.services.hub._waiting), "somebody who waits")
    [row] = system.services.books.find("a")
    system.services.results.save([result(row.ref, "a")], shard="t")
    assert waiting.get(timeout=20).status == 200
    assert system.services.hub._waiting == {}


def test_waiting_ends_with_an_answer_when_the_server_stops(system, monkeypatch):
    monkeypatch.setattr(results, "LOOK_AGAIN_S", 60.0)
    system.enter("a")
    room = WaitingRoom(version="1.0.0", node="node", waits={}, access=Access())
    server = room.open("127.0.0.1", 0)
    room.enter(system.app)
    with RawClient(server) as client:
        client.send(b"GET /results/a?wait=30 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: bool(system.services.hub._waiting), "somebody who waits")
        began = time.monotonic()
        room.close(20)
        answer = client.answer()
        assert time.monotonic() - began < 10
    assert (answer.status, answer.json["state"], answer.json["attempts"]) == (404, "queued", 0)
    assert answer.headers["connection"] == "close"


def test_a_server_that_stops_holds_nobody(system):
    system.services.hub.let_go()
    began = time.monotonic()
    assert system.client.get("/results/nobody?wait=20").json["state"] == "unknown"
    assert time.monotonic() - began < 10


def test_waiting_ends_when_the_time_is_over_or_the_email_is_dead(system):
    assert system.client.get("/results/nobody?wait=0.05").json["state"] == "unknown"
    system.bury("b")
    began = time.monotonic()
    assert system.client.get("/results/b?wait=10").json["state"] == "dead"
    assert time.monotonic() - began < 5


def test_who_would_wait_longer_than_30_seconds_waits_30(system, monkeypatch):
    monkeypatch.setattr(results, "LONGEST_WAIT_S", 0.05)
    for wait in ("31", "86400", "1e300"):
        assert system.client.get(f"/results/nobody?wait={wait}").status == 404
    for wait in ("-1", "nan", "soon"):
        assert system.client.get(f"/results/nobody?wait={wait}").status == 400


def test_the_list_is_newest_first_and_pages_without_gap_or_repetition(system):
    ids = [f"m{number}" for number in range(7)]
    system.process(*ids)
    seen, target = [], "/results?limit=3"
    while target:
        reply = system.client.get(target)
        seen += [item["email_id"] for item in reply.json["items"]]
        cursor = reply.json["next_cursor"]
        assert (cursor is None) is ("link" not in reply.headers)
        target = reply.headers["link"].split(">")[0][1:] if cursor else ""
    assert seen == ids[::-1]
    assert "body" not in reply.json["items"][0]
    assert reply.json["items"][0]["subject"] == "subject of m0"


def test_filters_and_search_narrow_the_list(system, index):
    system.process("a", "b")
    system.process("c", label="promotion", confidence=0.4)
    index()
    names = lambda query: [item["email_id"] for item in system.client.get(f"/results?{query}").json["items"]]  # noqa: E731
    assert names("classification=promotion") == ["c"]
    assert names("max_confidence=0.5") == ["c"]
    assert names("min_confidence=0.5") == ["b", "a"]
    assert names("q=subject:b") == ["b"]
    assert system.client.get("/results?source=other").status == 404
    assert names("decided_by=person") == []
    assert names("since=2000-01-01&until=2001-01-01") == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=101",
        "limit=-1",
        "cursor=%00",
        f"cursor={make_cursor('tasks', 5)}",
        "min_confidence=nan",
        "since=soon",
        "classification=x",
        "sender=***",
        "sender=%20",
    ],
)
def test_filters_that_cannot_be_are_400(system, query):
    for path in ("results", "emails"):
        reply = system.client.get(f"/{path}?{query}")
        assert (reply.status, reply.json["detail"].partition(":")[0]) == (400, query.partition("=")[0])


def test_classify_says_what_the_model_would_and_stores_nothing(system):
    reply = system.client.post("/classify", {"subject": "Lunch meeting", "body": "Shall we meet at noon tomorrow?"})
    assert reply.status == 200
    assert reply.json["classification"] in reply.json["probabilities"]
    assert reply.json["explanation"]["evidence"]
    assert system.client.get("/stats").json["total_emails_processed"] == 0


def test_classify_takes_any_text(system):
    hostile = {
        "subject": "\u202e<script>\x00",
        "body": "\ufeff" * 1000,
        "sender": "=cmd()",
        "headers": {"a": ["b", "c"]},
    }
    assert system.client.post("/classify", hostile).status == 200
    assert (
        system.client.send(
            "POST", "/classify", b'{"subject":"\\ud800","body":""}', {"Content-Type": "application/json"}
        ).status
        == 200
    )


SOURCED = [
    route
    for route in ROUTES
    if "source" in {field.name for field in msgspec.structs.fields(route.query or msgspec.defstruct("Nothing", []))}
]


@pytest.mark.parametrize("route", SOURCED, ids=lambda route: f"{route.method} {route.path}")
def test_a_source_that_nobody_bears_is_404_wherever_it_may_be_named(system, route):
    path = f"{route.path.replace('{email_id}', 'a')}?source=nope"
    system.enter("a")
    bodies = {"/setup": {"webhook_url": "http://127.0.0.1:8005/webhook"}, "/resync": {"from": 0}, "/reprocess": {}}
    bodies |= {"/dead-letters/replay": {}, "/erase": {"sender": "a@example.org"}}
    body = bodies.get(route.path, {"classification": "intro"})
    reply = (
        system.client.get(path)
        if route.method == "GET"
        else system.client.send(route.method, path, msgspec.json.encode(body), {"Content-Type": "application/json"})
    )
    assert (reply.status, reply.json["detail"], reply.json["sources"]) == (404, "there is no source 'nope'", ["main"])
    assert reply.json.get("state") == ("unknown" if "{email_id}" in route.path else None)


@pytest.mark.parametrize(
    ("path", "body"), [("/dead-letters/replay", {"source": "nope"}), ("/reprocess", {"filter": {"source": "nope"}})]
)
def test_nor_may_it_stand_in_a_filter(system, path, body):
    assert system.client.post(path, body).status == 404


def test_a_source_that_is_followed_no_more_has_its_emails_still(system):
    old = system.services.books.open_source("old", "http://127.0.0.1:2")
    system.process("a", source=old)
    assert [item["email_id"] for item in system.client.get("/results?source=old").json["items"]] == ["a"]


def test_an_id_that_is_too_long_is_named_as_it_was_sent(system):
    detail = system.client.get(f"/results/{'x' * 600}").json["detail"]
    assert detail == f"{'x' * 100}…: no email with this id is known"
