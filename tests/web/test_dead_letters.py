"""Dead letters: listed, grouped, shown with every attempt, replayed one by one or by a filter, discarded."""

import pytest

from tests.storage.books_fixtures import attempt, burial


def test_the_list_is_newest_first_and_filtered(system):
    system.bury("a", "b")
    system.bury("c", reason="gone")
    items = system.client.get("/dead-letters").json["items"]
    assert [item["email_id"] for item in items] == ["c", "b", "a"]
    assert set(items[0]) >= {"id", "email_id", "reason", "error", "attempts", "first_seen", "dead_at"}
    names = lambda query: [item["email_id"] for item in system.client.get(f"/dead-letters?{query}").json["items"]]  # noqa: E731
    assert names("reason=gone") == ["c"]
    assert names("email_id=a") == ["a"]
    assert names("since=2100-01-01") == []
    assert system.client.get("/dead-letters?reason=nonsense").status == 400


def test_it_pages_by_cursor(system):
    system.bury("a", "b", "c")
    first = system.client.get("/dead-letters?limit=2").json
    second = system.client.get(f"/dead-letters?limit=2&cursor={first['next_cursor']}").json
    assert [item["email_id"] for item in first["items"] + second["items"]] == ["c", "b", "a"]
    assert second["next_cursor"] is None


def test_groups_count_by_cause(system):
    system.bury("a", "b")
    system.bury("c", reason="gone")
    groups = system.client.get("/dead-letters/groups").json["items"]
    assert [(group["reason"], group["count"]) for group in groups] == [("classifier_error", 2), ("gone", 1)]
    assert system.client.get("/dead-letters/groups?source=main").json["items"] == groups
    assert system.client.get("/dead-letters/groups?source=nobody").status == 404


def test_one_is_shown_with_each_attempt(system):
    [ref] = system.enter("a")
    system.services.books.postpone([attempt(ref, "a")])
    [letter] = system.services.dead_letters.bury([burial(ref, "a", attempts=2)])
    shown = system.client.get(f"/dead-letters/{letter.id}").json
    assert (shown["state"], shown["attempts"]) == ("dead", 2)
    assert [(each["attempt"], each["reason"]) for each in shown["tries"]] == [(1, "classifier_error")]


@pytest.mark.parametrize("letter_id", ["0", "999", "x", "-1", "1.5", "9" * 40, "٣"])
def test_ids_that_there_are_not_are_404(system, letter_id):
    from urllib.parse import quote

    assert system.client.get(f"/dead-letters/{quote(letter_id)}").status == 404


def test_a_replay_opens_the_email_again_once(system):
    [letter] = system.bury("a")
    assert system.client.post(f"/dead-letters/{letter.id}/replay").json["replayed"] == 1
    assert system.client.get("/results/a").json["state"] == "queued"
    again = system.client.post(f"/dead-letters/{letter.id}/replay")
    assert (again.status, again.json["state"]) == (409, "replayed")
    assert system.client.get("/dead-letters").json["items"] == []


@pytest.mark.parametrize(
    ("act", "state"), [("replay", "replayed"), ("discard", "discarded")], ids=["a replay", "a discard"]
)
@pytest.mark.parametrize("call", ["POST /dead-letters/{}/replay", "DELETE /dead-letters/{}"])
def test_who_comes_second_is_told_what_the_first_did(system, monkeypatch, call, act, state):
    [letter] = system.bury("a")
    letters = system.services.dead_letters
    get = letters.get

    def found_before_another_acts(number):
        monkeypatch.setattr(letters, "get", get)
        found = get(number)
        letters.replay([number]) if act == "replay" else letters.discard(number)
        return found

    monkeypatch.setattr(letters, "get", found_before_another_acts)
    method, path = call.format(letter.id).split()
    late = system.client.send(method, path)
    assert (late.status, late.json["state"]) == (409, state)
    assert late.json["detail"].endswith(f"its state is {state}")


def test_a_replay_by_filter_can_be_tried_dry(system):
    letters = system.bury("a", "b", "c")
    system.bury("d", reason="gone")
    ask = {"reason": "classifier_error", "ids": [letters[0].id, letters[1].id]}
    dry = system.client.post("/dead-letters/replay", {**ask, "dry_run": True}).json
    assert (dry["matched"], dry["replayed"], dry["dry_run"]) == (2, 0, True)
    assert system.client.post("/dead-letters/replay", {"filter": ask, "dry_run": True}).json == dry
    mixed = {"filter": {"ids": ask["ids"]}, "reason": "classifier_error", "dry_run": True}
    assert system.client.post("/dead-letters/replay", mixed).json == dry
    assert len(system.client.get("/dead-letters").json["items"]) == 4
    done = system.client.post("/dead-letters/replay", ask).json
    assert (done["matched"], done["replayed"]) == (2, 2)
    assert system.client.post("/dead-letters/replay", {}).json["replayed"] == 2
    assert system.client.get("/audit").json["queued"] == 4


@pytest.mark.parametrize("path", ["/dead-letters/replay", "/reprocess"])
def test_a_source_in_the_query_narrows_what_is_done_as_one_in_the_body_does(system, path):
    system.services.books.open_source("sales", "http://127.0.0.1:2")
    system.bury("a")
    if path == "/dead-letters/replay":
        assert system.client.post(f"{path}?source=sales", {}).json["replayed"] == 0
        assert system.client.post(f"{path}?source=main", {}).json["replayed"] == 1
    else:
        assert system.client.post(f"{path}?source=sales", {}).json["params"]["filter"] == {"source": "sales"}
    for body, field in (({"source": "main"}, "source"), ({"filter": {"source": "main"}}, "filter.source")):
        twice = system.client.post(f"{path}?source=sales", body)
        assert (twice.status, twice.json["errors"][0]["field"]) == (422, field)


def test_discarding_gives_the_email_up(system):
    [letter] = system.bury("a")
    assert system.client.delete(f"/dead-letters/{letter.id}").status == 204
    assert system.client.get("/results/a").json["state"] == "discarded"
    assert system.client.delete(f"/dead-letters/{letter.id}").status == 409
    audit = system.client.get("/audit").json
    assert (audit["discarded"], audit["listed"]) == (1, 1)


def test_every_time_that_an_email_died_is_told(system):
    [letter] = system.bury("a")
    system.client.post(f"/dead-letters/{letter.id}/replay")
    again = burial(letter.ref, "a", generation=1, reason="gone")
    [second] = system.services.dead_letters.bury([again])
    lives = system.client.get(f"/dead-letters/{second.id}").json["lives"]
    assert [(each["id"], each["state"], each["reason"]) for each in lives] == [
        (letter.id, "replayed", "classifier_error"),
        (second.id, "dead", "gone"),
    ]


def test_a_group_names_an_example(system):
    letters = system.bury("a", "b")
    [group] = system.client.get("/dead-letters/groups").json["items"]
    assert group["example"] == letters[-1].id


def test_an_email_whose_id_is_too_long_to_be_fetched_stays_dead_and_is_told_so(system):
    system.enter("x" * 600)
    system.bury("a")
    [other, letter] = system.client.get("/dead-letters").json["items"]
    assert (letter["reason"], other["email_id"]) == ("invalid_email", "a")
    refused = system.client.post(f"/dead-letters/{letter['id']}/replay")
    assert (refused.status, refused.json["state"]) == (409, "dead")
    assert "more than 512 bytes" in refused.json["detail"]
    for ask in ({"ids": [letter["id"]]}, {"reason": "invalid_email"}):
        assert system.client.post("/dead-letters/replay", ask).json == {"matched": 1, "replayed": 0, "dry_run": False}
    assert system.client.post("/dead-letters/replay", {}).json["replayed"] == 1
    assert system.client.get("/audit").json["dead"] == 1
    assert system.client.delete(f"/dead-letters/{letter['id']}").status == 204


def test_a_time_that_is_none_is_400_in_a_query_and_422_in_a_body(system):
    assert system.client.get("/dead-letters?since=yesterday").status == 400
    for body, field in (({"since": "yesterday"}, "since"), ({"filter": {"until": "soon"}}, "filter.until")):
        refused = system.client.post("/dead-letters/replay", body)
        assert (refused.status, refused.json["errors"][0]["field"]) == (422, field)


def test_a_condition_stands_beside_the_filter_or_in_it_not_in_both(system):
    refused = system.client.post("/dead-letters/replay", {"reason": "gone", "filter": {"reason": "gone"}})
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, "reason")
    assert system.client.post("/dead-letters/replay", {"filter": {"dry_run": True}}).status == 422
