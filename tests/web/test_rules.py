"""Rules over HTTP: kept in order, refused by field, and announced to every process."""

import json

import pytest
from gevent import monkey

from classification.rules import check
from engine.control import Control
from engine.events import Bus
from storage.rules import NewRule, RuleCondition
from tests.actors.conftest import eventually

MEETING_IS_PROMOTION = {
    "name": "meetings are adverts",
    "conditions": [{"field": "subject", "pattern": "subject of a"}],
    "classification": "promotion",
}


def rule(**changes):
    return {**MEETING_IS_PROMOTION, **changes}


def put(system, path, value):
    return system.client.send("PUT", path, json.dumps(value).encode(), {"Content-Type": "application/json"})


def test_a_rule_is_made_read_changed_and_deleted(system):
    made = system.client.post("/rules", rule(priority="high"))
    assert (made.status, made.headers["location"]) == (201, f"/rules/{made.json['id']}")
    assert made.json["conditions"] == [{"field": "subject", "pattern": "subject of a", "kind": "literal"}]
    path = f"/rules/{made.json['id']}"
    changed = put(system, path, rule(name="other", enabled=False))
    assert (changed.json["name"], changed.json["enabled"], changed.json["priority"]) == ("other", False, None)
    read = system.client.get(path).json
    assert [each["rule"]["name"] for each in read["history"]] == ["other", "meetings are adverts"]
    assert system.client.get("/rules").json["version"] == changed.json["version"]
    assert system.client.delete(path).status == 204
    assert system.client.get(path).status == system.client.delete(path).status == 404
    assert system.client.get("/rules").json["items"] == []


def test_rules_stand_in_the_order_of_their_places(system):
    for name in "abc":
        system.client.post("/rules", rule(name=name))
    system.client.post("/rules", rule(name="first", place=1))
    assert [each["name"] for each in system.client.get("/rules").json["items"]] == ["first", "a", "b", "c"]


def test_who_changes_an_old_version_is_told(system):
    made = system.client.post("/rules", rule()).json
    path, old = f"/rules/{made['id']}", made["version"]
    assert put(system, path, rule(name="b", version=old)).status == 200
    assert put(system, path, rule(name="c", version=old)).status == 409


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"classification": None}, "classification"),
        ({"classification": "spam"}, "classification"),
        ({"conditions": []}, "conditions"),
        ({"conditions": [{"field": "headers", "pattern": "x"}]}, "conditions[0].field"),
        ({"conditions": [{"field": "body", "pattern": ""}]}, "conditions[0].pattern"),
        (
            {"conditions": [{"field": "body", "pattern": "x"}, {"field": "body", "kind": "regex", "pattern": "(?=x)"}]},
            "conditions[1].pattern",
        ),
        ({"priority": "urgent"}, "priority"),
        ({"extra": 1}, "extra"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(system, changes, field):
    wrong = rule(**changes)
    for path, body in (("/rules", wrong), ("/rules/test", wrong), ("/rules/test", {"rule": wrong})):
        refused = system.client.post(path, body)
        assert refused.status == 422
        where = refused.json["errors"][0]["field"]
        assert where.endswith(field) if "rule" in body else where == field
    assert system.client.get("/rules").json["items"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "rule"),
        ({"rule": None, "limit": 5}, "rule"),
        ({"name": "newsletters", "classification": "promotion"}, "conditions"),
        ({"conditions": [{"field": "subject", "pattern": "x"}], "classification": "promotion"}, "name"),
        ({"rule": rule(), "priority": "low"}, "priority"),
    ],
)
def test_a_rule_to_be_tried_stands_in_one_place_as_a_whole(system, body, field):
    refused = system.client.post("/rules/test", body)
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, field)


def test_a_change_is_called_out(system):
    services = system.services
    control = Control(services.desired.all, services.mailboxes, bus=Bus(), reread=60.0)
    services.classifier.start(control)
    control.start()
    email = {"subject": "subject of a", "body": "Shall we meet at 10?"}
    try:
        assert system.client.post("/classify", email).json["rule"] is None
        made = system.client.post("/rules", rule(priority="low")).json
        eventually(lambda: system.client.post("/classify", email).json["rule"])
        assert system.client.post("/classify", email).json["rule"] == {
            "matched": [made["id"]],
            "rule_id": made["id"],
            "classification": "promotion",
            "priority": "low",
        }
    finally:
        control.stop()
        services.classifier.stop()


def test_reading_is_enough_to_read_and_not_to_change(system):
    client = system.with_access(api_token="all", api_token_readonly="look")
    headers = {"Authorization": "Bearer look"}
    assert client.send("GET", "/rules", b"", headers).status == 200
    assert client.send("DELETE", "/rules/1", b"", headers).status == 403


def regex(pattern):
    return [{"field": "body", "kind": "regex", "pattern": pattern}]


def test_a_save_compiles_its_own_patterns_and_others_regular_expressions_and_not_on_the_hub(system, monkeypatch):
    this_thread, seen = monkey.get_original("_thread", "get_native_id"), []

    def watched(conditions):
        seen.append((this_thread(), [each.pattern for each in conditions]))
        return check(conditions)

    monkeypatch.setattr("web.rules.check", watched)
    for conditions in (rule()["conditions"], regex("a+"), regex("b+"), rule()["conditions"]):
        assert system.client.post("/rules", rule(conditions=conditions)).status == 201
    assert this_thread() not in [thread for thread, _ in seen]
    literal = ["subject of a"]
    assert [patterns for _, patterns in seen] == [literal, ["a+"], [], ["b+"], ["a+"], literal]


def test_the_regular_expressions_of_all_rules_have_a_size_together(system, monkeypatch):
    monkeypatch.setattr("web.rules.MAX_PROGRAMS", 60)
    assert system.client.post("/rules", rule(conditions=regex("a{40}"))).status == 201
    refused = system.client.post("/rules", rule(conditions=regex("b{40}")))
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, "conditions")
    assert system.client.post("/rules", rule()).status == 201


def test_the_patterns_of_all_rules_have_a_length_together_and_who_has_more_may_go_on_with_less(system):
    long = [{"field": "body", "pattern": "x" * 496 + f"{n:04}"} for n in range(20)]
    kept = tuple(RuleCondition(each["field"], "literal", each["pattern"]) for each in long)
    rules = [system.services.learning.rules.create(NewRule("r", kept, "intro", None)) for _ in range(26)]
    refused = system.client.post("/rules", rule(conditions=long))
    assert (refused.status, refused.json["detail"]) == (
        422,
        "conditions: the patterns of all rules together have more than 262144 characters",
    )
    system.services.learning.rules.create(NewRule("r", kept, "intro", None))
    assert put(system, f"/rules/{rules[0].id}", rule(conditions=long[:-1])).status == 200
