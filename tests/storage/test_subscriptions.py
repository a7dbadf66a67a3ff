"""Subscriptions in SQL, on both databases: a position moves only from where it was read."""

import time
from typing import Any

import pytest

from engine.errors import StaleError
from storage.books import Books
from storage.records import Look
from storage.statements import execute
from storage.subscription_tables import add_old_secret
from storage.subscriptions import Failure, Subscription, Subscriptions, Try
from tests.storage.books_fixtures import URL


def subscription(**changes: Any) -> Subscription:
    values: dict[str, Any] = {
        "id": 0, "url": "http://a.example/", "secret": "s", "description": "", "events": ("process",), "backlog": False,
        "position": "p0", "state": "active", "reason": None, "failures": 0, "failing_since": None,
        "next_attempt_at": None, "delivered": 0, "delivered_at": None, "created_at": 1.0,
    }  # fmt: skip
    return Subscription(**{**values, **changes})


def tried(of: Subscription, **changes: Any) -> Try:
    values: dict[str, Any] = {
        "subscription": of.id, "webhook_id": "w", "event": "process", "seq": "p1", "attempt": 1, "at": 2.0,
        "duration_ms": 1.5, "status": 200, "error": None,
    }  # fmt: skip
    return Try(**{**values, **changes})


@pytest.fixture
def store(db) -> Subscriptions:
    return Subscriptions(db)


def test_what_is_kept_comes_back(store):
    made = store.create(subscription())
    assert store.get(made.id) == made
    assert store.all() == [made]


def test_a_position_moves_from_where_it_was_seen(store):
    made = store.create(subscription())
    moved = store.advance(made, "p1", [tried(made)])
    assert (moved.position, moved.delivered, moved.delivered_at) == ("p1", 1, 2.0)
    with pytest.raises(StaleError):
        store.advance(made, "p2", [])
    assert store.get(made.id) == moved


def test_a_failure_is_kept_and_the_next_success_ends_it(store):
    made = store.create(subscription())
    failed = store.fail(made, Failure(1, 5.0, 9.0), tried(made, status=None, error="refused \x00" + "x" * 900))
    assert (failed.failures, failed.failing_since, failed.next_attempt_at, failed.state) == (1, 5.0, 9.0, "active")
    assert len(store.deliveries(made.id)[0][0].error) == 300
    assert store.advance(failed, "p1", [tried(made)]).failing_since is None


def test_one_that_is_disabled_moves_no_more_until_it_is_enabled(store):
    made = store.create(subscription())
    disabled = store.fail(made, Failure(20, 5.0, None, "it failed"), tried(made, error="no"))
    assert (disabled.state, disabled.reason) == ("disabled", "it failed")
    with pytest.raises(StaleError):
        store.advance(disabled, "p1", [])
    assert store.advance(store.enable(made.id), "p1", []).position == "p1"
    assert store.enable(made.id, "p9").position == "p9"
    assert store.enable(made.id + 1) is None


def test_deliveries_go_with_their_subscription(store):
    made = store.create(subscription())
    store.note(tried(made))
    assert store.delete(made.id)
    assert not store.delete(made.id)
    assert store.deliveries(made.id) == ([], None)


def test_a_number_is_never_given_twice(store):
    first = store.create(subscription())
    store.delete(first.id)
    assert store.create(subscription()).id == first.id + 1


def test_the_log_is_read_in_pages(store):
    made = store.create(subscription())
    for number in range(5):
        store.note(tried(made, webhook_id=str(number)))
    page, before = store.deliveries(made.id, None, 3)
    rest, end = store.deliveries(made.id, before, 3)
    assert [each.webhook_id for each in [*page, *rest]] == ["4", "3", "2", "1", "0"]
    assert end is None


def test_emails_of_the_first_look_are_told_apart(db, store):
    books = Books(db)
    source = books.open_source("main", URL)
    odd = "back\\slash"
    books.enter(source, ["a", odd], Look("start", time.time()), lane="low")
    books.enter(source, ["b"], Look("poll", time.time()), lane="normal")
    assert store.of_first_sync([("main", "a"), ("main", odd), ("main", "b"), ("other", "a")]) == {
        ("main", "a"), ("main", odd),
    }  # fmt: skip
    assert store.of_first_sync([]) == set()


def test_a_replaced_secret_signs_beside_the_new_one_until_its_time_is_over(store):
    made = store.create(subscription())
    rotated = store.rotate(made.id, "new", 50.0)
    assert rotated.secrets(49.0) == ("new", "s")
    assert store.get(made.id).secrets(50.0) == ("new",)
    assert store.rotate(made.id, "newest", 90.0).secrets(49.0) == ("newest", "new")
    assert store.rotate(made.id + 1, "new", 50.0) is None


def test_the_columns_of_an_old_secret_are_added_to_tables_from_before_them(db, store):
    for column in ("old_secret", "old_secret_until"):
        db.write(execute, f"ALTER TABLE subscription DROP COLUMN {column}")
    db.write(add_old_secret)
    db.write(add_old_secret)
    made = store.create(subscription())
    assert store.rotate(made.id, "new", 50.0).secrets(1.0) == ("new", "s")
