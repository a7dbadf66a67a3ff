"""Models over HTTP: the live one, the shadow's comparison, promotion unless worse, rollback, reprocessing as a task."""

import pytest

from classification import weights
from classification.feedback import Corrected, retrain
from classification.model import Email
from storage.model_files import FEEDBACK
from storage.records import Content

MEETING = Content("Lunch", "Shall we meet on Monday at 10 for lunch?", "anna@example.org")


@pytest.fixture(scope="session")
def other():
    """A model trained to call MEETING an introduction: (file, version)."""
    email = Email(MEETING.subject, MEETING.body, MEETING.sender)
    trained = retrain(weights.PACKAGED, [Corrected(email, "intro")] * 3, [])
    return trained.file, trained.version


@pytest.fixture
def models(system, other):
    """A system with the packaged model live and a second one stored."""
    file, version = other
    system.services.classifier.keep_packaged()
    system.services.learning.models.add(
        version, file, origin=FEEDBACK, parent=system.services.classifier.version, figures={"corrections": 3}
    )
    system.services.learning.models.set_shadow(version)
    system.process("a", content=MEETING)
    return system


def test_the_packaged_model_is_live_until_another_is_promoted(system):
    system.services.classifier.keep_packaged()
    found = system.client.get("/models").json
    packaged = system.services.classifier.version
    assert (found["live"], found["shadow"], found["previous"], found["agreement"]) == (packaged, None, None, None)
    assert [(each["version"], each["role"], each["origin"]) for each in found["items"]] == [
        (packaged, "live", "packaged")
    ]


def test_the_shadow_is_compared_on_live_mail_and_on_corrected_emails(models, other):
    store, (_, version) = models.services.learning.models, other
    packaged = models.services.classifier.version
    (email,) = models.client.get("/emails").json["items"]
    ref = models.services.books.find(email["email_id"])[0].ref
    store.note_shadow(
        packaged, version, {("meeting", "meeting"): 3, ("meeting", "intro"): 1}, [(ref, "meeting", "intro", 0.7)], "t"
    )
    models.client.post("/emails/a/label", {"classification": "intro"})
    found = models.client.get("/models").json
    assert found["agreement"] == {
        "compared": 4,
        "agreed": 3,
        "share": 0.75,
        "differences": [{"from": "meeting", "to": "intro", "count": 1}],
    }
    corrected = {each["role"]: each["corrected"] for each in found["items"]}
    assert corrected["live"] == {"emails": 1, "right": 0, "share": 0.0}
    assert corrected["shadow"] == {"emails": 1, "right": 1, "share": 1.0}
    (differing,) = found["differing"]
    assert (differing["email_id"], differing["live"], differing["shadow"], differing["classification"]) == (
        "a",
        "meeting",
        "intro",
        "intro",
    )


def test_a_better_model_is_promoted_and_the_old_one_comes_back(models, other):
    _, version = other
    packaged = models.services.classifier.version
    models.client.post("/emails/a/label", {"classification": "intro"})
    promoted = models.client.post(f"/models/{version}/promote")
    assert (promoted.status, promoted.json) == (200, {"live": version, "previous": packaged, "shadow": None})
    back = models.client.post(f"/models/{packaged}/promote")
    assert (back.status, back.json["live"], back.json["previous"]) == (200, packaged, version)


@pytest.mark.parametrize("forced", [("?force=true", None), ("", {"force": True})])
def test_a_model_that_is_worse_on_the_corrections_is_refused_unless_forced(models, other, forced):
    _, version = other
    models.client.post("/emails/a/label", {"classification": "meeting"})
    refused = models.client.post(f"/models/{version}/promote")
    assert refused.status == 409
    assert "it gets 0 of 1 corrected emails right, the live one 1;" in refused.json["detail"]
    assert models.client.get("/models").json["live"] == models.services.classifier.version
    query, body = forced
    assert models.client.post(f"/models/{version}/promote{query}", body).json["live"] == version


def test_a_model_that_was_worse_on_what_it_had_not_seen_is_refused_too(models, other):
    file, _ = other
    figures = {"right_held_out": 0.6, "right_before": 0.7}
    packaged = models.services.classifier.version
    models.services.learning.models.add("unseen", file, origin=FEEDBACK, parent=packaged, figures=figures)
    refused = models.client.post("/models/unseen/promote")
    assert (refused.status, "60%" in refused.json["detail"]) == (409, True)
    assert models.client.post("/models/unseen/promote?force=true").status == 200


def test_a_model_that_is_not_there_or_broken_cannot_be_promoted(models):
    store, packaged = models.services.learning.models, models.services.classifier.version
    store.add("broken", b"no model", origin=FEEDBACK, parent=packaged)
    store.add("older", store.file(packaged), origin=FEEDBACK, parent="shipped-before")
    assert {each["version"]: each["usable"] for each in models.client.get("/models").json["items"]}["older"] is False
    for version in ("nothing", "broken", "older"):
        assert models.client.post(f"/models/{version}/promote").status == 404
        assert models.client.post(f"/models/{version}/promote?force=true").status == 404


RULE = {"name": "a", "conditions": [{"field": "subject", "pattern": "lunch"}], "classification": "intro"}


def test_reprocessing_is_a_task_with_its_filter(system):
    asked = system.client.post(
        "/reprocess", {"filter": {"classification": "meeting", "max_confidence": 0.6}, "dry_run": True}
    )
    assert (asked.status, asked.headers["location"]) == (202, f"/tasks/{asked.json['id']}")
    judges = {"model_version": system.services.classifier.version, "rules_version": 0}
    wanted = {"filter": {"classification": "meeting", "max_confidence": 0.6}, "dry_run": True}
    assert asked.json["params"] == {**wanted, **judges}
    again = system.client.post(
        "/reprocess", {"filter": {"max_confidence": 0.6, "classification": "meeting"}, "dry_run": True}
    )
    assert again.json["id"] == asked.json["id"]
    assert system.client.post("/reprocess", {}).json["params"] == {"filter": {}, "dry_run": False, **judges}
    beside = {"classification": "meeting", "max_confidence": 0.6, "dry_run": True}
    assert system.client.post("/reprocess", beside).json["id"] == again.json["id"]
    assert system.client.post("/rules", RULE).status == 201
    assert system.client.post("/reprocess", beside).json["id"] not in (asked.json["id"], None)
    both = system.client.post("/reprocess", {"classification": "meeting", "filter": {"classification": "intro"}})
    assert (both.status, both.json["errors"][0]["field"]) == (422, "classification")
    assert system.client.post("/reprocess", {"since": "yesterday"}).json["errors"][0]["field"] == "since"
    assert system.client.post("/reprocess", {"dry": True}).status == 422
    wrong = system.client.post("/reprocess", {"filter": {"since": "yesterday"}})
    assert (wrong.status, wrong.json["errors"][0]["field"]) == (422, "filter.since")
    assert system.client.post("/reprocess", {"filter": {"state": "dead"}}).status == 422


@pytest.mark.parametrize("sender", ["***", "@", "", " "])
def test_a_sender_without_anything_to_look_for_does_not_mean_all_mail(system, sender):
    for body, field in (({"filter": {"sender": sender}}, "filter.sender"), ({"sender": sender}, "sender")):
        reply = system.client.post("/reprocess", body)
        assert (reply.status, reply.json["errors"][0]["field"]) == (422, field)
    assert system.client.get("/tasks").json["items"] == []
    assert system.client.post("/reprocess", {"sender": "@b"}).status == 202
