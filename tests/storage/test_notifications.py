"""Notifications: what was received, what it led to, and for how long that is kept."""

import pytest

from storage.books import Books
from storage.notifications import Notifications
from storage.records import Look, Notification
from tests.storage.books_fixtures import URL


@pytest.fixture
def notifications(db):
    return Notifications(db)


@pytest.fixture
def source(db):
    return Books(db).open_source("main", URL)


def test_a_notification_leads_to_the_emails_of_its_look(db, notifications, source):
    look = Look("notification", 1.0, notified_at=0.5, history_id=7)
    Books(db).enter(source, ["a", "b"], look, lane="normal")
    Books(db).enter(source, ["c"], Look("poll", 2.0), lane="normal")
    Books(db).enter(source, ["d"], look, lane="normal")
    notifications.note(source.id, [Notification(0.5, 7, "id-1", look=look.id)])
    ((noted,), _) = notifications.page()
    assert (noted.source, noted.history_id, noted.outcome, noted.new) == ("main", 7, "listed", 3)
    assert notifications.emails_of(look.id) == ["a", "b", "d"]


def test_a_batch_noted_again_after_a_lost_answer_is_noted_once(notifications, source):
    batch = [Notification(1.0, 7), Notification(1.0, 7), Notification(2.0, 8, "id-1")]
    notifications.note(source.id, batch)
    notifications.note(source.id, batch)
    assert len(notifications.page()[0]) == 3


def test_pages_go_from_the_newest(notifications, source):
    notifications.note(source.id, [Notification(float(at), at) for at in range(5)])
    page, before = notifications.page(limit=3, source="main")
    assert [each.history_id for each in page] == [4, 3, 2]
    assert [each.history_id for each in notifications.page(before, limit=3)[0]] == [1, 0]
    assert notifications.page(source="other") == ([], None)


def test_old_ones_are_forgotten(notifications, source):
    notifications.note(source.id, [Notification(1.0, 1), Notification(9.0, 2), Notification(9.5, 2**70)])
    assert notifications.prune(5.0) == 1
    assert [each.received_at for each in notifications.page()[0]] == [9.5, 9.0]
