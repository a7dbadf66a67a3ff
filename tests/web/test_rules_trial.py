"""A rule's trial reports what it would change in stored mail, and changes nothing."""

from tests.web.test_rules import rule


def test_a_test_says_what_would_change_and_changes_nothing(system):
    system.process("a", "ab", "b")
    system.client.post("/emails/ab/label", {"classification": "intro"})
    tried = system.client.post("/rules/test", {"rule": rule()}).json
    assert (tried["scanned"], tried["matched"], tried["would_change"], tried["complete"]) == (3, 2, 1, True)
    assert tried["changes"] == [{"from": "meeting", "to": "promotion", "count": 1}]
    assert [(each["email_id"], each["classification"], each["would_be"]) for each in tried["examples"]] == [
        ("a", "meeting", "promotion"),
        ("ab", "intro", "intro"),
    ]
    assert system.client.get("/rules").json["items"] == []
    assert system.client.get("/results/a").json["classification"] == "meeting"


def test_a_test_is_bounded_and_says_so(system):
    system.process("a", "ab", "b")
    tried = system.client.post("/rules/test", {"rule": rule(), "limit": 2}).json
    assert system.client.post("/rules/test", {**rule(), "limit": 2}).json == tried
    assert (tried["scanned"], tried["matched"], tried["complete"]) == (2, 1, False)


def test_a_test_takes_the_other_rules_into_account(system):
    system.process("a")
    first = system.client.post("/rules", rule(classification="intro")).json
    behind = system.client.post("/rules/test", {"rule": rule()}).json
    assert (behind["matched"], behind["would_change"]) == (1, 0)
    before = system.client.post("/rules/test", {"rule": rule(place=1)}).json
    assert before["changes"] == [{"from": "intro", "to": "promotion", "count": 1}]
    instead = system.client.post("/rules/test", {"rule": rule(), "id": first["id"]}).json
    assert instead["would_change"] == 1
    switched_off = system.client.post("/rules/test", {"rule": rule(enabled=False), "id": first["id"]}).json
    assert switched_off["changes"] == [{"from": "intro", "to": "meeting", "count": 1}]
    assert system.client.post("/rules/test", {"rule": rule(), "id": 99}).status == 404
