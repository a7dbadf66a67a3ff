"""The simulator under /simulator on the same server: its own paths, guarded like the rest."""

import pytest

from fakemail.simulator import open_simulator
from fakemail.simulator_http import simulator_app
from tests.web.wsgi_client import WsgiClient
from web.app import Application


@pytest.fixture
def with_simulator(system, tmp_path):
    simulator = open_simulator(tmp_path)
    system.services.simulator = simulator_app(simulator)
    system.client = WsgiClient(Application(system.services))
    yield system
    simulator.close()


def test_it_takes_and_gives_emails_of_any_id(with_simulator):
    client = with_simulator.client
    sent = client.post("/simulator/send_email", {"id": "a/b c", "subject": "s", "body": "b"})
    assert (sent.status, sent.json["email_id"]) == (200, "a/b c")
    assert client.get("/simulator/email/a%2Fb%20c").json["subject"] == "s"
    assert client.get("/simulator/emails?from_history_id=0").json == ["a/b c"]
    assert client.get("/simulator/status").json["email_count"] == 1


def test_its_answers_bear_the_safe_headers(with_simulator):
    reply = with_simulator.client.get("/simulator/status")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"


def test_it_wants_the_token_like_the_rest(with_simulator):
    client = with_simulator.with_access(api_token="full", api_token_readonly="read")
    assert client.get("/simulator/status").status == 401
    assert client.get("/simulator/status", Authorization="Bearer read").status == 200
    assert client.post("/simulator/watch", {}, Authorization="Bearer read").status == 403
    assert client.post("/simulator/watch", {}, Authorization="Bearer full").status == 200


def test_a_limit_of_calls_is_none_of_the_simulators_whose_callers_are_ourselves(with_simulator):
    client = with_simulator.with_access(api_rate=1, api_token="full")
    assert {client.get("/simulator/status", Authorization="Bearer full").status for _ in range(10)} == {200}
    assert client.get("/stats", Authorization="Bearer full").status == 200
    guesses = [client.get("/simulator/status", Authorization="Bearer wrong", Via="x").status for _ in range(31)]
    assert guesses == [401] * 30 + [429]


def test_other_sites_pages_cannot_use_it(with_simulator):
    assert with_simulator.client.post("/simulator/reset", {}, Origin="https://evil.example").status == 403
    assert with_simulator.client.get("/simulator/status", Host="evil.example").status == 403


def test_without_it_there_is_nothing(system):
    assert system.client.get("/simulator/status").status == 404
    assert system.client.get("/simulatorx").status == 404
