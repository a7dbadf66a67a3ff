"""The simulator over real HTTP: the five calls of FakeMail, the control calls, its faults, and what it refuses."""

import json
import re
import time
from pathlib import Path
from typing import Any

import gevent
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import DependencyTrouble, Throttled
from fakemail.answers import MAX_HISTORY_ID
from fakemail.breaker import CircuitBreaker
from fakemail.client import FakeMailClient
from fakemail.simulator import open_simulator
from fakemail.simulator_http import simulator_app
from fakemail.simulator_requests import NewEmail
from fakemail.template_emails import TEMPLATE_EMAILS
from tests.fakemail.conftest import Running
from tests.fakemail.serving import serving

ODD_IDS = [
    "a/b",
    "/",
    "//x",
    ".",
    "..",
    "../../etc/passwd",
    "a%2Fb",
    "%",
    "%%41",
    "a?b#c&d=e;f",
    "with space+plus",
    "é€\U0001f600",
    "a\x00b",
    "\r\nX: y",
    "\ud800",
    "\udfff\ud800x",
    '"\\',
    "'; DROP TABLE history; --",
    "emails",
    "<abc@example.com>",
    "x" * 1024,
]


# Sending, listing, fetching.


def test_an_email_that_was_sent_is_listed_and_fetched(running: Running) -> None:
    email_id = running.send("Hello", "there", sender="a@x", recipient="b@x", headers={"X": ["1", "2"]}, priority="high")
    assert running.client.watch() == 1
    assert running.client.list_emails(0) == [email_id]
    email = running.client.get_email(email_id)
    assert email is not None
    assert (email.subject, email.body, email.sender, email.recipient) == ("Hello", "there", "a@x", "b@x")
    assert (email.headers, email.history_id) == ({"X": ["1", "2"]}, 1)
    assert abs((email.timestamp or 0) - time.time()) < 10


def test_each_email_takes_the_next_history_id(running: Running) -> None:
    ids = [running.send() for _ in range(3)]
    assert running.client.list_emails(0) == ids
    assert running.client.list_emails(1) == ids[1:]
    assert running.client.list_emails(3) == running.client.list_emails(10**18 - 1) == []


def test_an_unknown_email_is_not_found(running: Running) -> None:
    assert running.client.get_email("nobody") is None


def test_sending_the_same_id_again_changes_nothing_and_answers_the_same(running: Running) -> None:
    first = running.ask("POST", "/send_email", {"id": "x", "subject": "1", "body": ""})
    running.send()
    again = running.ask("POST", "/send_email", {"id": "x", "subject": "2", "body": ""})
    assert first == again == {"email_id": "x", "history_id": 1}
    assert running.client.watch() == 2
    email = running.client.get_email("x")
    assert email is not None
    assert email.subject == "1"


def test_a_batch_is_sent_in_order_and_the_same_batch_again_changes_nothing(running: Running) -> None:
    batch = {"emails": [{"subject": str(number), "body": "", "id": f"n{number % 4}"} for number in range(6)]}
    first = running.ask("POST", "/simulator/send_batch", batch)
    assert first == {"email_ids": ["n0", "n1", "n2", "n3", "n0", "n1"], "history_id": 4}
    assert running.ask("POST", "/simulator/send_batch", batch) == first
    assert running.client.list_emails(0) == ["n0", "n1", "n2", "n3"]


def test_an_empty_batch_changes_nothing(running: Running) -> None:
    running.send()
    assert running.ask("POST", "/send_batch", {"emails": []}) == {"email_ids": [], "history_id": 1}


@pytest.mark.parametrize("email_id", ODD_IDS, ids=repr)
def test_an_odd_id_goes_all_the_way_round(running: Running, email_id: str) -> None:
    assert running.send(id=email_id) == email_id
    assert running.client.list_emails(0) == [email_id]
    email = running.client.get_email(email_id)
    assert email is not None
    assert (email.id, email.history_id) == (email_id, 1)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(), min_size=1, max_size=8))
def test_any_id_goes_all_the_way_round(running: Running, email_id: str) -> None:
    running.send(id=email_id)
    results = running.client.get_emails([email_id, email_id + "-"])
    assert getattr(results[0], "id", None) == email_id
    assert email_id in running.client.list_emails(0)


@pytest.mark.parametrize(
    "text", ["", "\x00\r\n", "\ud800 lone", "é" * 100_000, "</script>"], ids=lambda text: repr(text[:9])
)
def test_any_text_is_kept(running: Running, text: str) -> None:
    email = running.client.get_email(running.send(text, text, headers={"X": text}))
    clean = text.replace("\ud800", "\ufffd")
    assert email is not None
    assert email.body == clean
    assert clean.startswith(email.subject)


def test_a_long_listing_is_streamed_in_order(running: Running) -> None:
    batch = [NewEmail(subject="s", body="b", id=str(number)) for number in range(5500)]
    running.simulator.send(batch)
    for after in (0, 1, 4499, 4500, 4501, 5499):
        assert list(running.client.list_emails(after)) == [str(number) for number in range(after, 5500)]


def test_many_senders_at_once_all_get_their_own_place(running: Running) -> None:
    jobs = [gevent.spawn(running.simulator.send, [NewEmail(subject="s", body="b")]) for _ in range(200)]
    sent = [job.get(timeout=10) for job in jobs]
    assert sorted(one.history_id for one in sent) == list(range(1, 201))


def test_after_the_highest_history_id_nothing_is_listed(running: Running) -> None:
    assert running.client.list_emails(MAX_HISTORY_ID) == []


def test_a_full_disk_is_told_and_nothing_is_half_there(tmp_path: Path) -> None:
    simulator = open_simulator(tmp_path)
    with serving(simulator_app(simulator, bare=True)) as url:
        simulator._store._writer.execute("PRAGMA max_page_count = 20")
        batch = {"emails": [{"subject": "s", "body": "b" * 10_000, "id": str(number)} for number in range(50)]}
        response = requests.post(f"{url}/send_batch", json=batch, timeout=5)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert simulator.watch() == 0
        assert requests.get(f"{url}/emails?from_history_id=0", timeout=5).json() == []
        simulator._store._writer.execute("PRAGMA max_page_count = 10000")
        assert requests.post(f"{url}/send_batch", json=batch, timeout=5).json()["history_id"] == 50
    simulator.close()


# The other calls.


def test_status_tells_of_history_emails_and_subscribers(running: Running) -> None:
    running.send()
    running.client.subscribe("http://127.0.0.1:1/webhook")
    assert running.ask("GET", "/simulator/status") == {
        "history_id": 1,
        "webhook_urls": ["http://127.0.0.1:1/webhook"],
        "email_count": 1,
        "status": "ok",
    }


def test_a_reset_forgets_emails_and_keeps_subscribers(running: Running) -> None:
    email_id = running.send()
    running.client.subscribe("http://127.0.0.1:1/webhook")
    running.ask("POST", "/simulator/reset")
    assert running.client.watch() == 0
    assert running.client.list_emails(0) == []
    assert running.client.get_email(email_id) is None
    assert running.ask("GET", "/status")["webhook_urls"] == ["http://127.0.0.1:1/webhook"]
    assert running.ask("POST", "/send_email", {"subject": "", "body": ""})["history_id"] == 1


def test_the_account_is_kept_across_a_restart(tmp_path: Path) -> None:
    first = open_simulator(tmp_path)
    first.send([NewEmail(subject="s", body="b", id="kept")])
    first.subscribe("http://127.0.0.1:1/webhook")
    first.close()
    second = open_simulator(tmp_path)
    assert second.watch() == 1
    assert b'"kept"' in (second.find(b"kept") or b"")
    assert second.status()["webhook_urls"] == ["http://127.0.0.1:1/webhook"]
    second.close()


def test_template_emails_can_be_sent_as_they_are(running: Running) -> None:
    templates = running.ask("GET", "/simulator/template-emails")
    assert templates["emails"] == TEMPLATE_EMAILS
    assert len(running.ask("POST", "/simulator/send_batch", templates)["email_ids"]) == len(TEMPLATE_EMAILS) >= 12
    assert {email["expected"] for email in TEMPLATE_EMAILS} == {"meeting", "promotion", "intro", "unknown"}


@pytest.mark.parametrize(
    ("subject", "body", "label"),
    [
        ("Meeting", "join the zoom meeting, see calendar", "meeting"),
        ("Sale", "exclusive discount offer", "promotion"),
        ("An introduction", "hello and welcome", "intro"),
        ("x", "nothing of the kind", "unknown"),
    ],
)
def test_its_own_opinion_is_a_word_list(running: Running, subject: str, body: str, label: str) -> None:
    classification, confidence = running.client.classify(subject, body)
    assert classification == label
    assert 0.3 <= confidence <= 0.8


# What the simulator refuses.


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", "/send_email", b"{", 400, None),
        ("POST", "/send_email", b"", 400, None),
        ("POST", "/send_email", b'{"subject": NaN, "body": ""}', 400, None),
        ("POST", "/send_email", b"[" * 100_000, 422, None),
        ("POST", "/send_email", b"[]", 422, None),
        ("POST", "/send_email", b'{"x": ' + b"[" * 100_000, 400, None),
        ("POST", "/send_email", b'{"subject": "s"}', 422, "body"),
        ("POST", "/send_email", b'{"subject": 1, "body": "b"}', 422, "subject"),
        ("POST", "/send_email", rb'{"subject": "\ud800", "body": 1}', 422, "body"),
        ("POST", "/send_email", b'{"subject": "s", "body": "b", "id": ""}', 422, "id"),
        ("POST", "/send_email", b'{"subject": "s", "body": "b", "priority": "urgent"}', 422, "priority"),
        ("POST", "/send_email", rb'{"subject": "\ud800", "body": "b", "priority": 1}', 422, "priority"),
        ("POST", "/send_batch", b'{"emails": [{"subject": "s", "body": "b", "priority": ""}]}', 422, "emails[0].priority"),
        ("POST", "/send_email", b'{"subject": "s", "body": "b", "id": 7}', 422, "id"),
        ("POST", "/send_email", json.dumps({"subject": "s", "body": "b", "id": "é" * 513}).encode(), 422, "id"),
        ("POST", "/send_email", b'{"subject": "s", "body": "b", "headers": {"a": 1}}', 422, "headers[...]"),
        ("POST", "/send_batch", b'{"emails": 1}', 422, "emails"),
        ("POST", "/send_batch", b"{}", 422, "emails"),
        ("POST", "/send_batch", b"[]", 422, "emails"),
        ("POST", "/send_batch", b'{"emails": [{"subject": "s", "body": "b"}', 400, None),
        ("POST", "/send_batch", b'{"emails": [{"subject": "s", "body": "b"}, {"subject": "s"}]}', 422, "emails[1].body"),
        ("POST", "/send_batch", b'{"emails": [3]}', 422, "emails[0]"),
        ("POST", "/subscribe", b'{"webhook_url": "ftp://x"}', 422, "webhook_url"),
        ("POST", "/subscribe", b'{"webhook_url": "http:///x"}', 422, "webhook_url"),
        ("POST", "/subscribe", b'{"webhook_url": "http://x/a b"}', 422, "webhook_url"),
        ("POST", "/subscribe", b'{"webhook_url": "http://x:99999/"}', 422, "webhook_url"),
        ("POST", "/subscribe", b"{}", 422, "webhook_url"),
        ("POST", "/classify", b'{"subject": "s"}', 422, "body"),
        ("PUT", "/faults", b'{"error_rate": 2}', 422, "error_rate"),
        ("PUT", "/faults", b'{"eror_rate": 1}', 422, "eror_rate"),
        ("PUT", "/faults", b'{"hang": 1}', 422, "hang"),
        ("GET", "/emails?from_history_id=x", None, 400, "from_history_id"),
        ("GET", "/emails?from_history_id=-1", None, 400, "from_history_id"),
        ("GET", "/emails?from_history_id=1.0", None, 400, "from_history_id"),
        ("GET", "/emails?from_history_id=9223372036854775808", None, 400, "from_history_id"),
        ("GET", "/emails?from_history_id=" + "9" * 30, None, 400, "from_history_id"),
        ("GET", "/email/none", None, 404, None),
        ("GET", "/nothing", None, 404, None),
        ("GET", "/", None, 404, None),
        ("GET", "/watch", None, 405, None),
        ("DELETE", "/email/a", None, 405, None),
        ("POST", "/faults", b"{}", 405, None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_as_a_problem(
    running: Running, method: str, path: str, body: bytes | None, status: int, field: str | None
) -> None:
    headers = {"Content-Type": "application/json", "X-Request-Id": "r1"}
    response = running.http.request(method, f"{running.url}/simulator{path}", data=body, headers=headers, timeout=5)
    problem = response.json()
    assert (response.status_code, problem.get("field")) == (status, field), problem
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["status"] == status
    assert re.fullmatch("[0-9a-f]+", problem["request_id"])  # the server's own id, never one that a client wrote
    assert "Allow" in response.headers or status != 405
    assert running.client.watch() == 0


def test_a_body_that_is_no_json_type_is_refused(running: Running) -> None:
    response = running.http.post(f"{running.url}/simulator/send_email", data='{"subject": "s", "body": "b"}', timeout=5)
    assert response.status_code == 415


def test_head_has_the_headers_of_get_and_no_body(running: Running) -> None:
    email_id = running.send()
    for path in (f"/email/{email_id}", "/emails?from_history_id=0", "/simulator/status"):
        got = running.http.get(running.url + path, timeout=5)
        head = running.http.head(running.url + path, timeout=5)
        assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", str(len(got.content)))


def test_mounted_it_answers_under_its_prefix_alone(tmp_path: Path) -> None:
    simulator = open_simulator(tmp_path)
    with serving(simulator_app(simulator)) as url:
        client, bare = FakeMailClient(f"{url}/simulator"), FakeMailClient(url)
        assert client.watch() == 0
        with pytest.raises(DependencyTrouble, match="404"):
            bare.watch()
        client.close()
        bare.close()
    simulator.close()


# Faults.


def patient(running: Running) -> FakeMailClient:
    return FakeMailClient(running.url, breaker=CircuitBreaker(threshold=10**6))


def outcomes(running: Running, calls: int = 30) -> set[str]:
    client, seen = patient(running), set()
    email_id = running.simulator.send([NewEmail(subject="s", body="b")]).email_ids[0]
    for number in range(calls):
        call: Any = (client.watch, lambda: client.list_emails(0), lambda: client.get_email(email_id))[number % 3]
        try:
            seen.add("good" if call() is not None else "gone")
        except Throttled:
            seen.add("throttled")
            client.breaker._throttled_until = 0
            client.breaker._throttling.clear()
        except DependencyTrouble:
            seen.add("trouble")
    client.close()
    return seen


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ({}, {"good"}),
        ({"error_rate": 1}, {"trouble"}),
        ({"rate_limit_rate": 1}, {"throttled"}),
        ({"garbage_rate": 1}, {"trouble"}),
        ({"error_rate": 0.5}, {"trouble", "good"}),
    ],
)
def test_faults_strike_the_calls_of_fakemail(running: Running, faults: dict[str, Any], expected: set[str]) -> None:
    told = running.ask("PUT", "/simulator/faults", faults)
    assert running.ask("GET", "/simulator/faults") == told
    assert outcomes(running, 60) == expected


@pytest.mark.parametrize("off", [("PUT", {}), ("DELETE", None)])
def test_faults_are_switched_off(running: Running, off: tuple[str, Any]) -> None:
    running.ask("PUT", "/simulator/faults", {"error_rate": 1, "hang": True, "latency_ms": 1000})
    running.ask(off[0], "/simulator/faults", off[1])
    assert outcomes(running) == {"good"}


def test_latency_is_added_to_each_call(running: Running) -> None:
    running.ask("PUT", "/simulator/faults", {"latency_ms": 60})
    start = time.monotonic()
    running.client.watch()
    assert 0.06 <= time.monotonic() - start < 5


def test_a_hanging_call_is_answered_once_the_fault_is_off(running: Running) -> None:
    running.ask("PUT", "/simulator/faults", {"hang": True})
    call = gevent.spawn(running.client.watch)
    assert not gevent.wait([call], timeout=0.1)
    running.ask("DELETE", "/simulator/faults")
    assert call.get(timeout=10) == 0


def wait_for(running: Running, email_id: str, seconds: float = 10) -> None:
    with gevent.Timeout(seconds):
        while running.client.get_email(email_id) is None:
            gevent.sleep(0.01)


def test_an_email_may_become_visible_only_after_it_was_announced(running: Running) -> None:
    running.ask("PUT", "/simulator/faults", {"late_visibility_ms": 1_500})
    email_id = running.send()
    assert running.client.watch() == 1
    assert running.client.list_emails(0) == []
    assert running.client.get_email(email_id) is None
    wait_for(running, email_id)
    assert running.client.list_emails(0) == [email_id]


def test_a_gap_fills_late_between_others(running: Running) -> None:
    first = running.send()
    running.ask("PUT", "/simulator/faults", {"gap_rate": 1, "gap_ms": 1_500})
    gap = running.send()
    running.ask("DELETE", "/simulator/faults")
    last = running.send()
    assert running.client.list_emails(0) == [first, last]
    wait_for(running, gap)
    assert running.client.list_emails(0) == [first, gap, last]


def test_a_subscriber_within_the_network_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    from fakemail.egress import Egress

    simulator = open_simulator(tmp_path, egress=Egress())
    for url in ("http://127.0.0.1:9/webhook", "http://169.254.169.254/latest"):
        with pytest.raises(ValueError, match="internal network"):
            simulator.subscribe(url)
    assert simulator.status()["webhook_urls"] == []
    simulator.close()
