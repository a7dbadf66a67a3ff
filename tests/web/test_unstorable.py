"""Values that no database holds (NUL, lone surrogates, over 64 bits) get an error, never a 500 or a failing task."""

from collections.abc import Iterator

import pytest

from storage.database import Database
from storage.reading import EmailFilter
from tests.web.conftest import System
from web.validation import make_cursor

NUL, SURROGATE = "%00", "%ED%A0%80"

READ = {
    "/stats?source=%00": 404,
    "/audit?source=a%00": 404,
    "/results?source=%00": 404,
    "/results/x?source=%00": 404,
    "/emails?source=%00": 404,
    "/emails/x?source=a%00": 404,
    "/emails/x/timeline?source=%00": 404,
    "/dead-letters?source=%00": 404,
    "/notifications?source=%00": 404,
    "/review?source=%00": 404,
    "/actions?who=%00": 200,
    "/actions?action=%00": 200,
    "/emails?q=%00": 200,
    "/emails?q=%22a%00b%22%20-from:%00x": 200,
    "/results?sender=a%00b": 200,
    "/dead-letters?email_id=%00": 200,
    "/events?after=%00": 410,
    "/results/%00": 404,
    f"/results/{SURROGATE}": 404,
    f"/emails/{SURROGATE}": 404,
    f"/emails/{SURROGATE}/timeline": 404,
}
DONE: dict[str, tuple[object, int]] = {
    "/setup?source=%00": ({"webhook_url": "http://127.0.0.1:1"}, 404),
    "/resync?source=%00": ({"from": 0}, 404),
    f"/models/a{NUL}/promote": ({}, 404),
    f"/models/{SURROGATE}/promote": ({}, 404),
    f"/models/{SURROGATE}/promote?force=true": ({}, 404),
    f"/emails/{SURROGATE}/label": ({"classification": "intro"}, 404),
    "/emails/x/label?source=%00": ({"classification": "intro"}, 404),
    "/reprocess": ({"source": "\0"}, 404),
    "/dead-letters/replay": ({"filter": {"source": "a\0", "email_id": "\0"}}, 404),
    "/webhook/%00": ({"history_id": 1}, 404),
    f"/webhook/{SURROGATE}": ({"history_id": 1}, 404),
    "/erase": ({"sender": "a\0b@example.com"}, 200),
    "/rules/test": ({"name": "\0", "conditions": [{"field": "body", "pattern": "\0"}], "classification": "intro"}, 200),
}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    db = Database(database_url)
    db.migrate()
    yield db
    db.close()


def test_it_names_nothing_that_there_is(system: System) -> None:
    found = {target: system.client.get(target).status for target in READ}
    assert found == READ


def test_nothing_is_done_to_what_it_names(system: System) -> None:
    found = {target: system.client.post(target, body).status for target, (body, _) in DONE.items()}
    assert found == {target: status for target, (_, status) in DONE.items()}


def test_a_task_for_such_a_version_finds_nothing_and_does_not_fail(system: System) -> None:
    system.process("a")
    reply = system.client.post("/reprocess", {"model_version": "\0"})
    assert (reply.status, reply.json["params"]["filter"]) == (202, {"model_version": "\0"})
    wanted = EmailFilter(**reply.json["params"]["filter"])
    assert system.services.learning.reprocessing.count(wanted, 0, 100) == 0
    for hostile in (EmailFilter(source="\0"), EmailFilter(source="\ud800"), EmailFilter(model_version="\ud800")):
        assert system.services.reader.results(hostile).items == []


RULE = {"name": "n", "conditions": [{"field": "body", "pattern": "p"}], "classification": "intro"}
UNBORNE = (2**53 + 1, 2**63 - 1, 2**63, 9_999_999_999_999_999_999, 0, -1)
UNCOUNTED = (2**63, 9_999_999_999_999_999_999, -1)
"""No history id is one of these."""
UNBORNE_IN_PATHS = ("9" * 17, "9" * 18, "9223372036854775807", "9223372036854775808", "9" * 40)


def test_a_number_in_a_body_that_no_row_bears_is_a_422(system: System) -> None:
    bodies = [
        each
        for number in UNBORNE
        for each in (
            ("/dead-letters/replay", {"ids": [number]}),
            ("/dead-letters/replay", {"filter": {"ids": [1, number]}}),
            ("/reprocess", {"rule_id": number}),
            ("/reprocess", {"filter": {"rule_id": number}}),
            ("/rules", RULE | {"place": number}),
            ("/rules", RULE | {"version": number}),
            ("/rules/test", {"rule": RULE, "id": number}),
            ("/rules/test", RULE | {"place": number}),
            ("/actors/resize", {"workers": number}),
        )
    ]
    found = [(*each, system.client.post(*each).status) for each in bodies]
    found += [("/resync", number, system.client.post("/resync", {"from": number}).status) for number in UNCOUNTED]
    assert [each for each in found if each[-1] != 422] == []
    assert system.client.get("/tasks").json["items"] == []


def test_a_number_in_a_path_that_no_row_bears_is_a_404(system: System) -> None:
    kinds = ("rules", "dead-letters", "tasks", "subscriptions")
    paths = [f"/{kind}/{number}" for kind in kinds for number in UNBORNE_IN_PATHS]
    found = {path: (system.client.get(path).status, system.client.delete(path).status) for path in paths}
    assert {path: status for path, status in found.items() if status != (404, 404)} == {}


def test_a_cursor_beyond_everything_is_a_page(system: System) -> None:
    lists = [(name, name) for name in ("results", "emails", "notifications", "review", "actions", "tasks")]
    targets = [
        f"/{path}?cursor={make_cursor(kind, number)}"
        for path, kind in (*lists, ("dead-letters", "deadletters"))
        for number in (10**18 - 1, 0)
    ]
    assert [target for target in targets if system.client.get(target).status != 200] == []
