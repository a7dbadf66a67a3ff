"""All emails with their states, one with its text and timeline, and a correction that everybody is told of."""

import orjson

from engine.errors import DependencyTrouble


def test_the_list_holds_every_known_email_with_its_state(system):
    system.process("a")
    system.bury("b")
    system.enter("c")
    items = system.client.get("/emails").json["items"]
    assert [(item["email_id"], item["state"]) for item in items] == [("c", "queued"), ("b", "dead"), ("a", "processed")]
    assert items[2]["result"]["classification"] == "meeting"
    assert items[0]["result"] is None
    assert [item["email_id"] for item in system.client.get("/emails?state=dead").json["items"]] == ["b"]


def test_it_pages_by_cursor(system):
    system.enter("a", "b", "c")
    first = system.client.get("/emails?limit=2").json
    second = system.client.get(f"/emails?limit=2&cursor={first['next_cursor']}").json
    assert [item["email_id"] for item in first["items"] + second["items"]] == ["c", "b", "a"]
    assert second["next_cursor"] is None


def test_a_search_says_how_far_the_index_lags(system, index):
    system.process("a")
    assert system.client.get("/emails?q=subject").json["index_lag"] == 1
    index()
    found = system.client.get("/emails?q=subject").json
    assert (found["index_lag"], len(found["items"])) == (0, 1)
    assert "index_lag" not in system.client.get("/emails").json


def test_one_email_comes_with_its_text(system):
    system.process("a/b")
    email = system.client.get("/emails/a%2Fb").json
    assert (email["email_id"], email["state"], email["subject"]) == ("a/b", "processed", "subject of a/b")
    assert email["body"].startswith("body ")
    assert email["result"]["email_id"] == "a/b"
    assert system.client.get("/emails/none").json["state"] == "unknown"


def test_an_email_that_is_not_fetched_yet_has_no_text(system):
    system.enter("a")
    email = system.client.get("/emails/a").json
    assert (email["state"], email["body"], email["headers"]) == ("queued", None, {})


def test_the_timeline_names_the_stages_in_order(system):
    system.process("a")
    timeline = system.client.get("/emails/a/timeline").json
    names = [stage["name"] for stage in timeline["stages"]]
    assert names.index("listed") < len(names) - 1
    assert [stage["at"] for stage in timeline["stages"]] == sorted(stage["at"] for stage in timeline["stages"])
    assert system.client.get("/emails/none/timeline").status == 404


def labels(system):
    page = system.services.mailboxes.read_log("", count=100)
    return [
        event["data"]["classification"]
        for each in page.entries
        if (event := orjson.loads(each.data))["event"] == "label"
    ]


def test_a_correction_wins_is_counted_is_told_and_can_be_undone(system):
    system.process("a")
    corrected = system.client.post("/emails/a/label", {"classification": "intro"})
    assert (corrected.json["classification"], corrected.json["decided_by"]) == ("intro", "person")
    assert system.client.get("/results/a").json["classification"] == "intro"
    counts = system.client.get("/stats").json["emails_by_classification"]
    assert (counts["intro"], counts["meeting"]) == (1, 0)
    undone = system.client.delete("/emails/a/label")
    assert (undone.json["classification"], undone.json["decided_by"]) == ("meeting", "model")
    assert labels(system) == ["intro", "meeting"]


def test_a_correction_holds_and_is_written_down_while_redis_is_away(system, monkeypatch):
    system.process("a")

    def away(_events):
        raise DependencyTrouble("connection refused", dependency="redis")

    monkeypatch.setattr(system.services.mailboxes, "tell", away)
    assert system.client.post("/emails/a/label", {"classification": "intro"}).status == 200
    assert system.client.get("/results/a").json["decided_by"] == "person"
    assert system.client.delete("/emails/a/label").status == 200
    acts = [each["action"] for each in system.client.get("/actions").json["items"]]
    assert acts == ["DELETE /emails/{email_id}/label", "POST /emails/{email_id}/label"]


def test_an_email_without_a_result_cannot_be_corrected(system):
    system.enter("a")
    assert system.client.post("/emails/a/label", {"classification": "intro"}).json["state"] == "queued"
    assert system.client.post("/emails/none/label", {"classification": "intro"}).status == 404
    system.process("b")
    assert system.client.post("/emails/b/label", {"classification": "spam"}).status == 422
