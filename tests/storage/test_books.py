"""The books: entries persist, every change of state is guarded, and numbers follow the order of commits."""

import pytest

from engine.errors import SettingsError, StaleError
from storage.books import Books
from storage.counters import totals
from storage.keys import email_key
from storage.records import Audit, CursorMove, Look
from storage.retries import LONGEST_WAIT_S
from tests.storage.books_fixtures import URL, attempt, enter


def balanced(books: Books) -> Audit:
    audit = books.audit()
    assert audit.listed == (audit.results + audit.queued + audit.retrying + audit.dead + audit.discarded + audit.erased)
    return audit


def test_books_keep_their_name_until_it_is_renewed(books):
    name = books.books_id()
    assert books.books_id() == name
    assert books.renew_books_id() == books.books_id() != name


def test_a_source_is_bound_to_its_url(books):
    source = books.open_source("main", URL)
    assert books.open_source("main", URL) == source
    with pytest.raises(SettingsError, match="belongs to"):
        books.open_source("main", "http://elsewhere")
    with pytest.raises(LookupError):
        books.source("other")


def test_ids_are_entered_once_in_the_order_given(books):
    refs = enter(books, ["a", "b", "a", "c"])
    assert len(refs) == 3
    assert enter(books, ["b", "c", "d"]) == [refs[-1] + 1]
    source = books.source("main")
    rows = books.open_rows(source.id, "normal", 0, 10)
    assert [row.key for row in rows] == ["a", "b", "c", "d"]
    assert sorted({row.feed_seq for row in rows}) == [row.feed_seq for row in rows]
    assert rows[0].notified_at == 1.0
    assert source.listed == 4
    assert balanced(books).queued == 4


def test_nothing_new_writes_nothing(books):
    enter(books, ["a"])
    source = books.source("main")
    look = Look("poll", 1.0)
    assert books.enter(source, ["a"], look, lane="normal") == []
    assert look.id == 0
    assert books.newest_seq(source.id) == 1


def test_one_look_has_one_row_over_all_its_slices(books):
    source = books.open_source("main", URL)
    look = Look("start", 1.0, listed=3)
    books.enter(source, ["a", "b"], look, lane="low")
    first = look.id
    books.enter(source, ["c"], look, lane="low")
    assert (look.id, look.new) == (first, 3)
    assert first > 0


def test_strange_ids_are_kept_and_too_long_ones_are_dead_letters(books):
    strange = ["nul\x00", "half\ud800", "back\\slash", "snow☃", "slash/and?query", "x" * 512]
    long = "y" * 513
    assert len(enter(books, [*strange, long])) == len(strange)
    assert enter(books, [*strange, long]) == []
    assert all(books.find(email_key(email_id)) for email_id in strange)
    (row,) = books.find(email_key(long))
    assert row.state == "dead"
    assert balanced(books).dead == 1


def test_the_cursor_moves_with_its_ids_or_not_at_all(books):
    source = books.open_source("main", URL)
    books.enter(source, ["a"], Look("poll", 1.0), lane="normal", move=CursorMove(0, 0, 7, "a"))
    assert (books.source("main").cursor, books.source("main").cursor_key) == (7, "a")
    with pytest.raises(StaleError):
        books.enter(source, ["b"], Look("poll", 1.0), lane="normal", move=CursorMove(0, 0, 9, "b"))
    with pytest.raises(StaleError):
        books.enter(source, ["b"], Look("poll", 1.0), lane="normal", move=CursorMove(1, 7, 9, "b"))
    assert books.find("b") == []


def test_a_move_told_again_after_a_lost_answer_passes(books):
    source = books.open_source("main", URL)
    for _ in range(2):
        books.enter(source, ["a"], Look("poll", 1.0), lane="normal", move=CursorMove(0, 0, 7, "a"))
    assert balanced(books).queued == 1


def test_the_floor_rises_only_behind_a_poll_that_began_long_enough_after(books, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("engine.clock.now", lambda: clock[0])
    source = books.open_source("main", URL)
    clock[0] = 1010.0
    books.enter(source, ["a"], Look("poll", 1.0), lane="normal", move=CursorMove(0, 0, 7))
    clock[0] = 1040.0
    books.enter(source, ["b"], Look("poll", 1.0), lane="normal", move=CursorMove(0, 7, 8))
    source = books.source("main")
    assert books.finish_poll(source, began=1069.0, overlap=60.0).floor == 0
    assert books.finish_poll(source, began=1071.0, overlap=60.0).floor == 7
    assert books.finish_poll(source, began=1200.0, overlap=60.0).floor == 8


def test_a_busy_source_still_lets_its_floor_rise(books, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("engine.clock.now", lambda: clock[0])
    source = books.open_source("main", URL)
    for step in range(200):
        clock[0] += 1.0
        books.enter(source, [], Look("poll", 1.0), lane="normal", move=CursorMove(0, step, step + 1))
    floor = books.finish_poll(source, began=clock[0], overlap=60.0).floor
    assert 130 <= floor <= 140


def test_a_reset_begins_a_new_epoch_once(books):
    source = books.open_source("main", URL)
    books.enter(source, ["a"], Look("poll", 1.0), lane="normal", move=CursorMove(0, 0, 7))
    assert books.reset(source).epoch == 1
    again = books.reset(source)
    assert (again.epoch, again.cursor, again.floor) == (1, 0, 0)
    books.reset(again)
    with pytest.raises(StaleError):
        books.reset(source)
    with pytest.raises(StaleError):
        books.finish_poll(source, began=9e9, overlap=0)


def test_skipping_to_now_moves_cursor_and_floor(books):
    source = books.open_source("main", URL)
    skipped = books.skip_to(source, 50, ["a"])
    assert (skipped.cursor, skipped.floor) == (50, 50)
    assert books.skip_to(source, 50, ["a"]) == skipped
    with pytest.raises(StaleError):
        books.skip_to(source, 60, [])


def test_skipping_to_now_with_a_mark_happens_once(books):
    source = books.open_source("main", URL)
    skipped = books.skip_to(source, 50, ["a"], mark="started:main")
    assert books.skip_to(skipped, 60, ["b"], mark="started:main") == skipped
    assert books.skipped(source).keys == ["a"]


def test_lanes_are_fed_apart(books):
    enter(books, ["a"], lane="low")
    enter(books, ["b"], lane="normal")
    source = books.source("main")
    assert [row.key for row in books.open_rows(source.id, "low", 0, 9)] == ["a"]
    assert [row.key for row in books.open_rows(source.id, "normal", 0, 9)] == ["b"]


def test_a_postponed_row_waits_and_comes_back_with_a_new_number(books):
    (ref,) = enter(books, ["a"])
    source = books.source("main")
    seq = books.newest_seq(source.id)
    assert books.postpone([attempt(ref, "a", at=100.0, next_at=200.0)]) == [True]
    assert books.open_rows(source.id, "normal", 0, 9) == []
    assert balanced(books).retrying == 1
    assert books.due(199.0, 10) == 0
    assert books.due(200.0, 10) == 1
    (row,) = books.open_rows(source.id, "normal", seq, 9)
    assert row.attempts == 1
    assert balanced(books).retrying == 0


def test_a_row_that_would_wait_for_hours_because_the_clock_was_set_back_comes_back_at_once(books):
    (ref,) = enter(books, ["a"])
    books.postpone([attempt(ref, "a", at=4000.0, next_at=4001.0)])
    assert books.due(4001.0 - LONGEST_WAIT_S, 10) == 0
    assert books.due(400.0, 10) == 1
    assert balanced(books).retrying == 0


def test_a_try_told_twice_is_charged_once(books):
    (ref,) = enter(books, ["a"])
    told = attempt(ref, "a")
    assert books.postpone([told]) == [True]
    assert books.postpone([told]) == [True]
    assert books.find("a")[0].attempts == 1
    by_a_new_process = attempt(ref, "a", at=told.at + 1, next_at=told.next_at + 1)
    assert books.postpone([by_a_new_process]) == [True], "its event may not have been told yet"


def test_an_old_generation_or_another_email_cannot_postpone(books):
    (ref,) = enter(books, ["a"])
    assert books.postpone([attempt(ref, "a", generation=3), attempt(ref, "b"), attempt(99, "a")]) == [False] * 3
    assert books.find("a")[0].attempts == 0


def test_an_email_that_was_opened_anew_is_postponed_by_its_newest_message_alone(books):
    (ref,) = enter(books, ["a"])
    older = books.newest_seq(books.source("main").id)
    books.refeed([(ref, 0)])
    newer = books.newest_seq(books.source("main").id)
    assert books.postpone([attempt(ref, "a", feed_seq=older)]) == [False]
    told = attempt(ref, "a", feed_seq=newer)
    assert books.postpone([told]) == [True]


def test_an_email_that_is_missing_spends_nothing_and_remembers_since_when(books):
    (ref,) = enter(books, ["a"])
    source = books.source("main")
    for at in (100.0, 110.0):
        assert books.postpone([attempt(ref, "a", at=at, next_at=at + 1, spend=False, missing=True)]) == [True]
        books.due(at + 2, 10)
    (row,) = books.open_rows(source.id, "normal", 0, 9)
    assert (row.attempts, row.first_missing_at) == (0, 100.0)


def test_who_was_fetched_meanwhile_has_not_been_missing_since_then(books):
    (ref,) = enter(books, ["a"])
    source = books.source("main")
    books.postpone([attempt(ref, "a", at=100.0, next_at=101.0, spend=False, missing=True)])
    books.due(102.0, 10)
    books.postpone([attempt(ref, "a", at=110.0, next_at=111.0, reason="fetch_failed", spend=False)])
    books.due(112.0, 10)
    assert books.open_rows(source.id, "normal", 0, 9)[0].first_missing_at == 100.0
    books.postpone([attempt(ref, "a", at=120.0, next_at=121.0, reason="classifier_error")])
    books.due(122.0, 10)
    assert books.open_rows(source.id, "normal", 0, 9)[0].first_missing_at is None


def test_an_unspent_try_told_twice_counts_once_and_is_told_of_once(books, db):
    (ref,) = enter(books, ["a"])
    for at, answer in ((100.0, True), (101.0, False)):
        assert books.postpone([attempt(ref, "a", at=at, next_at=at + 1, spend=False, missing=True)]) == [answer]
    assert db.read(totals)["retries", ""] == 1
    assert balanced(books).retrying == 1


def test_suspects_are_open_fed_and_not_waiting_and_can_be_fed_again(books):
    refs = enter(books, ["a", "b", "c", "d"])
    books.postpone([attempt(refs[1], "b")])
    source = books.source("main")
    assert books.suspects(source.id, "normal", 3, 0, 10) == [(refs[0], 0), (refs[2], 0)]
    assert books.suspects(source.id, "normal", 4, refs[0], 1) == [(refs[2], 0)]
    assert books.refeed([(refs[0], 0), (refs[1], 0), (refs[2], 5)]) == 1
    assert [row.key for row in books.open_rows(source.id, "normal", 4, 9)] == ["a"]


def test_what_was_unaccounted_stays_in_the_audit(books):
    books.set_unaccounted({"main": 3}, 1.0)
    assert books.audit().unaccounted == 3


def test_each_source_has_books_of_its_own(books):
    other = books.open_source("other", URL)
    enter(books, ["a", "b"])
    enter(books, ["a"], source=other)
    books.set_unaccounted({"other": 1}, 1.0)
    main, second, both = books.audit("main"), books.audit("other"), books.audit()
    assert (main.listed, main.queued, main.unaccounted) == (2, 2, 0)
    assert (second.listed, second.queued, second.unaccounted) == (1, 1, 1)
    assert (both.listed, both.queued, both.unaccounted) == (3, 3, 1)
    with pytest.raises(LookupError):
        books.audit("nobody")


def test_the_same_id_of_two_sources_is_two_emails(books):
    other = books.open_source("other", URL)
    enter(books, ["a"])
    enter(books, ["a"], source=other)
    assert [row.source for row in books.find("a")] == ["main", "other"]
    assert [row.source for row in books.find("a", "other")] == ["other"]
    assert books.find("b") == []
