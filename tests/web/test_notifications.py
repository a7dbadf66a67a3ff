"""Notifications are shown with what they led to, from the moment they are accepted."""

import time

import pytest

from actors.bodies import look_mailbox
from engine.errors import DependencyTrouble
from storage.notifications import Notifications
from storage.records import Look, Notification
from tests.web.wsgi_client import WsgiClient
from web.app import Application
from web.services import SourceConfig


def test_notifications_say_what_they_led_to(system):
    look = Look("notification", time.time(), history_id=7)
    system.services.books.enter(system.main, ["a", "b"], look, lane="normal")
    note = Notification(received_at=time.time(), history_id=7, webhook_id="msg_1", look=look.id)
    Notifications(system.services.database).note(system.main.id, [note])
    [item] = system.client.get("/notifications").json["items"]
    assert (item["source"], item["history_id"], item["webhook_id"], item["outcome"]) == ("main", 7, "msg_1", "listed")
    assert (item["emails"], item["email_ids"]) == (2, ["a", "b"])
    assert system.client.get("/notifications?source=other").status == 404


@pytest.fixture
def noted(system):
    """Five notifications that were looked at, with history ids 1 to 5."""
    notes = [Notification(received_at=number, history_id=number, webhook_id=None) for number in range(1, 6)]
    Notifications(system.services.database).note(system.main.id, notes)


def accept(system, *history_ids):
    """Accept notifications that nobody looks at."""
    for number in history_ids:
        assert system.client.post("/webhook", {"history_id": number}).status == 202


def shown(system, query=""):
    reply = system.client.get(f"/notifications?{query}")
    return [(item["history_id"], item["outcome"]) for item in reply.json["items"]], reply.json["next_cursor"]


def test_one_that_was_accepted_is_shown_before_anybody_has_looked(system, noted):
    accept(system, 6, 7)
    items, cursor = shown(system)
    assert items[:3] == [(7, "pending"), (6, "pending"), (5, "listed")]
    assert (len(items), cursor) == (7, None)
    assert shown(system, "source=main")[0] == items
    assert system.services.mailboxes.depths(look_mailbox("main"))["normal"].in_hand == 0


def test_pages_have_their_limit_with_them_too(system, noted):
    accept(system, 6, 7)
    for limit in (1, 2, 3, 4):
        items, cursor = shown(system, f"limit={limit}")
        assert len(items) == limit
        while cursor:
            more, cursor = shown(system, f"limit={limit}&cursor={cursor}")
            items += more
        first = [7, 6][:limit]
        assert [number for number, _ in items] == [*first, 5, 4, 3, 2, 1]


def test_one_that_was_noted_and_is_still_in_hand_is_shown_once(system):
    accept(system, 6)
    [waiting] = system.services.mailboxes.peek(look_mailbox("main"), 1)
    note = Notification(received_at=waiting.times["received"], history_id=6, webhook_id=None)
    Notifications(system.services.database).note(system.main.id, [note])
    assert shown(system)[0] == [(6, "listed")]


def test_those_of_all_sources_come_newest_first(system):
    main = system.services.sources["main"]
    system.services.books.open_source("second", "http://127.0.0.1:2")
    sources = {"main": main, "second": SourceConfig("second", "http://127.0.0.1:2", main.client)}
    system.services.sources = sources
    system.client = WsgiClient(Application(system.services))
    for number, source in enumerate(("main", "second", "main")):
        system.client.post(f"/webhook/{source}", {"history_id": number})
    assert [number for number, _ in shown(system)[0]] == [2, 1, 0]
    assert shown(system, "source=second")[0] == [(1, "pending")]


def test_while_redis_is_away_those_that_were_looked_at_are_shown(system, noted, monkeypatch):
    def away(*_):
        raise DependencyTrouble("away", dependency="redis")

    monkeypatch.setattr(system.services.mailboxes, "peek", away)
    assert len(shown(system)[0]) == 5
