"""Notifications: what was received, and what resulted."""

import pytest

from storage.books import Books
from storage.notifications import MAX_BIGINT, Notifications
from storage.reading import Reader
from storage.records import Look, Notification
from tests.storage.books_fixtures import URL


@pytest.fixture
def notifications(db):
    return Notifications(db)


@pytest.fixture
def page(db):
    return Reader(db).notifications


@pytest.fixture
def source(db):
    return Books(db).open_source("main", URL)


def test_a_notification_leads_to_the_emails_of_its_look(db, notifications, page, source):
    look = Look("notification", 1.0, notified_at=0.5, history_id=7)
    Books(db).enter(source, ["a", "b"], look, lane="normal")
    Books(db).enter(source, ["c"], Look("poll", 2.0), lane="normal")
    Books(db).enter(source, ["d"], look, lane="normal")
    notifications.note(source.id, [Notification(0.5, 7, "id-1", look=look.id)])
    (noted,) = page().items
    assert (noted.source, noted.history_id, noted.outcome, noted.new) == ("main", 7, "listed", 3)
    assert noted.keys == ["a", "b", "d"]


def test_a_batch_noted_again_after_a_lost_answer_is_noted_once(notifications, page, source):
    batch = [Notification(1.0, 7), Notification(1.0, 7), Notification(2.0, 8, "id-1")]
    notifications.note(source.id, batch)
    notifications.note(source.id, batch)
    assert len(page().items) == 3


def test_pages_go_from_the_newest(notifications, page, source):
    notifications.note(source.id, [Notification(float(at), at) for at in range(5)])
    first = page(limit=3, source="main")
    assert [each.history_id for each in first.items] == [4, 3, 2]
    assert [each.history_id for each in page(before=first.next, limit=3).items] == [1, 0]
    assert page(source="other").items == []


def test_a_history_id_that_no_database_holds_is_kept_as_the_greatest(notifications, page, source):
    notifications.note(source.id, [Notification(9.5, 2**70)])
    assert [each.history_id for each in page().items] == [MAX_BIGINT]
