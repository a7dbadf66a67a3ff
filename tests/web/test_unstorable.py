"""What no database holds, NUL and lone surrogates, names nothing: it is a 404, an empty list, or text like any other; never a 500."""

from collections.abc import Iterator

import pytest

from storage.database import Database
from storage.reading import EmailFilter
from tests.web.conftest import System

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
