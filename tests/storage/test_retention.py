"""Expired data are deleted in slices, and the books balance whatever is deleted; on both databases."""

import time
from typing import Any

import pytest

from storage.books import Books
from storage.database import Database
from storage.dead_letters import DeadLetters
from storage.notifications import Notifications
from storage.reading import EmailFilter, Reader
from storage.records import Content, Notification
from storage.results import ResultStore
from storage.retention import KINDS, Keep, Retention
from storage.search import Search
from storage.statements import execute
from tests.storage.books_fixtures import attempt, burial, enter, result

OLD = 1_000.0


@pytest.fixture
def retention(db) -> Retention:
    return Retention(db)


def store(db: Database, books: Books, *keys: str, listed_at: float | None = None) -> list[int]:
    """Store listed and processed emails, long ago if `listed_at` says so."""
    refs = enter(books, keys)
    ResultStore(db).save([result(ref, key) for ref, key in zip(refs, keys, strict=True)], shard="t")
    if listed_at is not None:
        db.write(execute, f"UPDATE book SET listed_at = {listed_at} WHERE id IN ({', '.join(map(str, refs))})")
    return refs


def everything(retention: Retention, kind: str, before: float, limit: int = 2) -> int:
    count, more = 0, True
    while more:
        done = retention.slice(kind, before, limit)
        count, more = count + done.forgotten, done.more
    return count


def rows(db: Database, sql: str) -> list[tuple[Any, ...]]:
    return db.read(execute, sql)


def test_old_bodies_go_and_subjects_results_and_the_books_stay(db, books, retention):
    store(db, books, "a", "b", "c", listed_at=OLD)
    store(db, books, "d")
    search = Search(db)
    while search.index():
        pass
    assert retention.count("bodies", OLD + 1) == 3
    assert everything(retention, "bodies", OLD + 1) == 3
    assert [bool(body) for (body,) in rows(db, "SELECT body FROM content ORDER BY ref")] == [False] * 3 + [True]
    while search.index():
        pass
    assert [each.key for each in Reader(db).emails(EmailFilter(q="body")).items] == ["d"]
    assert len(Reader(db).emails(EmailFilter(q="subject")).items) == 4
    audit = books.audit()
    assert (audit.listed, audit.results) == (4, 4)
    assert retention.slice("bodies", OLD + 1).forgotten == retention.count("bodies", OLD + 1) == 0


def test_what_was_open_goes_when_it_is_closed(db, books, retention):
    [first] = store(db, books, "a", listed_at=OLD)
    enter(books, ["b"])
    db.write(execute, f"UPDATE book SET listed_at = {OLD}")
    store(db, books, "c", listed_at=OLD)
    assert everything(retention, "bodies", OLD + 1) == 2
    [waiting] = rows(db, "SELECT id FROM book WHERE state = 0")
    ResultStore(db).save([result(waiting[0], "b")], shard="t")
    assert everything(retention, "bodies", OLD + 1) == 1
    assert first < waiting[0]


@pytest.mark.parametrize("kind", ["bodies", "contents"])
def test_what_stays_open_for_long_keeps_nothing_else(db, books, retention, kind):
    """As with mail of an account that is no longer configured: mail that came after it is just as old."""
    store(db, books, "a")
    [first, second] = enter(books, ["open-1", "open-2"])
    store(db, books, "b", "c", "d")
    db.write(execute, f"UPDATE book SET listed_at = {OLD}")
    store(db, books, "young")
    assert retention.count(kind, OLD + 1) == 4
    assert everything(retention, kind, OLD + 1) == 4
    assert retention.slice(kind, OLD + 1).forgotten == retention.count(kind, OLD + 1) == 0
    for ref, key in ((second, "open-2"), (first, "open-1")):  # they end at last, and are deleted as well
        ResultStore(db).save([result(ref, key)], shard="t")
        everything(retention, kind, OLD + 1)
    assert retention.count(kind, OLD + 1) == 0
    assert [key for (key,) in rows(db, "SELECT book.key FROM content JOIN book ON book.id = ref WHERE body <> ''")] == [
        "young"
    ]


def test_whole_contents_go_with_their_words(db, books, retention):
    store(db, books, "a", listed_at=OLD)
    store(db, books, "b")
    while Search(db).index():
        pass
    assert everything(retention, "contents", OLD + 1) == 1
    assert rows(db, "SELECT COUNT(*) FROM content") == [(1,)]
    assert [each.key for each in Reader(db).emails(EmailFilter(q="subject")).items] == ["b"]
    assert rows(db, "SELECT COUNT(*) FROM unindexed") == [(0,)]
    stored = ResultStore(db).get("a", "main")
    assert stored
    assert stored.subject == ""


def test_failed_tries_go(db, books, retention):
    [ref] = enter(books, ["a"])
    books.postpone([attempt(ref, "a", at=OLD, next_at=OLD + 1)])
    assert retention.count("attempts", OLD + 1) == 1
    assert everything(retention, "attempts", OLD) == 0
    assert everything(retention, "attempts", OLD + 1) == 1


def test_settled_dead_letters_go_and_standing_ones_stay(db, books, retention):
    letters = DeadLetters(db)
    refs = enter(books, ["a", "b", "c"])
    buried = letters.bury([burial(ref, key, at=OLD) for ref, key in zip(refs, "abc", strict=True)])
    made = [letter for letter in buried if letter]
    letters.discard(made[0].id)
    letters.replay([made[1].id])
    assert retention.count("dead_letters", OLD + 1) == 2
    assert everything(retention, "dead_letters", OLD + 1) == 2
    assert [each.key for each in letters.page()[0]] == ["c"]
    audit = books.audit()
    assert (audit.discarded, audit.queued, audit.dead) == (1, 1, 1)


def test_a_slice_of_dead_letters_keeps_to_its_limit(db, books, retention):
    letters = DeadLetters(db)
    keys = [f"{number}" for number in range(6)]
    buried = letters.bury([burial(ref, key, at=OLD) for ref, key in zip(enter(books, keys), keys, strict=True)])
    made = [letter.id for letter in buried if letter]
    letters.replay(made[:3])
    for letter_id in made[3:]:
        letters.discard(letter_id)
    slices = [retention.slice("dead_letters", OLD + 1, 2) for _ in range(4)]
    assert [(each.forgotten, each.more) for each in slices] == [(2, True), (2, True), (2, True), (0, False)]


def test_notifications_and_minutes_go(db, books, retention):
    source = books.open_source("main", "http://127.0.0.1:1")
    Notifications(db).note(source.id, [Notification(OLD, 1), Notification(time.time(), 2)])
    refs = enter(books, ["a"])
    ResultStore(db).save([result(refs[0], "a", processed_at=OLD)], shard="t")
    for kind in ("notifications", "minutes"):
        assert retention.count(kind, OLD + 120) == 1
        assert everything(retention, kind, OLD + 120) == 1
    hours = rows(db, "SELECT SUM(value) FROM bucket WHERE name = 'emails' AND step = 3600")
    assert int(hours[0][0]) == 1


def test_a_slice_of_minutes_keeps_to_its_limit(db, books, retention):
    refs = enter(books, ["a", "b", "c"])
    minutes = [
        result(ref, key, processed_at=OLD + 60 * n) for n, (ref, key) in enumerate(zip(refs, "abc", strict=True))
    ]
    ResultStore(db).save(minutes, shard="t")
    slices = [retention.slice("minutes", OLD + 300, 2) for _ in range(2)]
    assert [(each.forgotten, each.more) for each in slices] == [(2, True), (1, False)]


def test_zero_days_are_for_ever():
    keep = Keep(bodies=0, attempts=30, events=0.5)
    assert keep.before(10 * 86_400.0) == {"attempts": -20 * 86_400.0, "events": 9.5 * 86_400.0}


def test_every_kind_but_events_is_a_setting_and_sqls():
    assert {*KINDS, "events"} == set(Keep.__struct_fields__)


def test_sqlite_gives_room_back(db, books, retention):
    if db.kind != "sqlite":
        assert retention.give_back() == 0
        return
    refs = enter(books, [f"mail-{number}" for number in range(2_000)])
    text = Content(subject="s", body="x" * 1_900, sender="a@example.org")
    ResultStore(db).save([result(ref, f"mail-{n}", content=text) for n, ref in enumerate(refs)], shard="t")
    db.checkpoint()
    before = db.size_bytes()
    db.write(execute, f"UPDATE book SET listed_at = {OLD}")
    assert everything(retention, "bodies", OLD + 1, limit=500) == 2_000
    while db.give_back():
        pass
    db.checkpoint()
    assert db.size_bytes() < before / 2


def test_a_whole_file_can_be_written_anew(db):
    db.vacuum()
    if db.kind == "sqlite":
        assert rows(db, "PRAGMA auto_vacuum") == [(2,)]
