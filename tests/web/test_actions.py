"""The action log: what was done, by whom and from where; no secrets, and no mere reads."""

import pytest

from engine.errors import DependencyTrouble
from web.actions import MASK, _short


@pytest.fixture
def client(system):
    return system.with_access(api_token="full", api_token_readonly="read", trusted_proxies=("127.0.0.1",))


FULL = {"Authorization": "Bearer full"}


def actions(client, query=""):
    return client.get(f"/actions{query}", **FULL).json["items"]


def test_corrections_deletions_replays_and_control_are_written_down(system, client):
    system.process("a/1")
    [letter, other] = system.bury("b", "c")
    client.post("/emails/a%2F1/label", {"classification": "intro"}, **FULL)
    client.delete("/emails/a%2F1/label", **FULL)
    client.post(f"/dead-letters/{letter.id}/replay", **FULL)
    client.delete(f"/dead-letters/{other.id}", **FULL)
    client.post("/actors/pause", **FULL, **{"X-Forwarded-For": "203.0.113.9"})
    client.post("/actors/resize", {"workers": 2}, **FULL)
    found = actions(client)
    assert [each["action"] for each in reversed(found)] == [
        "POST /emails/{email_id}/label",
        "DELETE /emails/{email_id}/label",
        "POST /dead-letters/{letter_id}/replay",
        "DELETE /dead-letters/{letter_id}",
        "POST /actors/pause",
        "POST /actors/resize",
    ]
    assert found[0]["detail"] == {"workers": 2}
    assert found[1]["address"] == "203.0.113.9"
    assert found[-1]["target"] == "/emails/a%2F1/label"
    assert {(each["who"], each["role"], each["request_id"]) for each in found} == {("token", "full", "test-request")}


def test_what_was_refused_looked_at_or_tried_dry_is_not(system, client):
    client.post("/actors/pause", Authorization="Bearer read")
    client.post("/dead-letters/replay", {"dry_run": True}, **FULL)
    client.post("/classify", {"subject": "a", "body": "b"}, **FULL)
    client.delete("/dead-letters/99", **FULL)
    client.get("/stats", **FULL)
    assert actions(client) == []


def test_sessions_are_named_by_a_part_of_their_id(client):
    cookie = client.post("/login", {"token": "full"}).headers["set-cookie"].partition(";")[0]
    client.post("/actors/pause", Cookie=cookie)
    client.send("POST", "/logout", headers={"Cookie": cookie})
    found = actions(client)
    assert [each["action"] for each in found] == ["POST /logout", "POST /actors/pause", "POST /login"]
    [who] = {each["who"] for each in found}
    assert who.startswith("session:")
    assert len(who) == len("session:") + 8


def test_filters_and_pages(client):
    for _ in range(3):
        client.post("/actors/pause", **FULL)
    client.post("/actors/resume", **FULL)
    assert len(actions(client, "?action=POST%20/actors/pause")) == 3
    assert len(actions(client, "?who=nobody")) == 0
    assert len(actions(client, "?since=2020-01-01&until=2020-01-02")) == 0
    page = client.get("/actions?limit=3", **FULL)
    assert "next" in page.headers["link"]
    rest = client.get(f"/actions?limit=3&cursor={page.json['next_cursor']}", **FULL).json
    assert [each["action"] for each in rest["items"]] == ["POST /actors/pause"]
    assert rest["next_cursor"] is None


def test_an_act_is_not_undone_because_the_log_is_away(system, client, monkeypatch, caplog):
    def away(_action):
        raise DependencyTrouble("away", dependency="database")

    monkeypatch.setattr(client.app.actions.store, "add", away)
    assert client.post("/actors/pause", **FULL).status == 200
    assert "not written down" in caplog.text


def test_what_was_sent_is_kept_short_and_without_secrets():
    kept = _short(
        {
            "webhook_url": "https://me:pw@mail.example:8443/hook?token=abc#x",
            "secret": "s1",
            "nested": {"Authorization": "s2", "list": list(range(100)), "deep": {"deeper": {"deepest": "x"}}},
            "long": "y" * 5000,
            "none": None,
        }
    )
    assert kept["webhook_url"] == "https://mail.example:8443"
    assert (kept["secret"], kept["nested"]["Authorization"]) == (MASK, MASK)
    assert len(kept["nested"]["list"]) == 20
    assert len(kept["long"]) == 200


def test_only_the_newest_are_kept(system, monkeypatch):
    from storage import actions as log

    monkeypatch.setattr(log, "KEPT", 10)
    monkeypatch.setattr(log, "PRUNE_EVERY", 5)
    store = log.Actions(system.services.database)
    for number in range(20):
        store.add(log.Action(float(number), "token", "full", "", "POST /x", "/x\x00\ud800", {}, 200, ""))
    items, _ = store.page(limit=100)
    assert len(items) == 10


def test_what_changes_the_simulator_is_written_down(system, tmp_path):
    from fakemail.simulator import open_simulator
    from fakemail.simulator_http import simulator_app

    simulator = open_simulator(tmp_path)
    system.services.simulator = simulator_app(simulator)
    client = system.with_access(api_token="full")
    client.send("PUT", "/simulator/faults", b'{"latency_ms": 0}', {**FULL, "Content-Type": "application/json"})
    client.post("/simulator/send_email", {"subject": "a", "body": "b"}, **FULL)
    client.post("/simulator/reset", **FULL)
    assert [each["action"] for each in actions(client)] == ["POST /simulator/reset", "PUT /simulator/faults"]
    simulator.close()
