"""Following the history: nothing is skipped, and the cursor never runs ahead of the books."""

import time
from contextlib import suppress

import pytest

from actors.following import Follower
from engine.errors import DependencyTrouble, StaleError, Throttled
from storage.records import Look


class Killed(BaseException):
    """Ends the look where it stands, as a kill does."""


@pytest.fixture
def follower(account, books):
    return Follower("main", account, books, overlap=60.0)


def notified(history_id=None):
    return Look("notification", time.time(), history_id=history_id)


def polled(ago=0.0):
    return Look("poll", time.time() - ago)


def known(books):
    audit = books.audit()
    return audit.listed


def test_a_look_enters_what_is_new_and_moves_the_cursor_to_the_last_one(follower, account, books):
    account.receive("a", "b")
    source = follower.look(notified(2))
    assert (source.cursor, source.cursor_key, known(books)) == (2, "b", 2)


def test_a_second_look_lists_from_the_cursor_and_finds_only_what_came_since(follower, account, books):
    account.receive("a")
    follower.look(notified())
    account.receive("b")
    follower.look(notified())
    assert account.listings == [0, 1]
    assert known(books) == 2


def test_ids_that_repeat_collapse(follower, account, books):
    account.receive("a")
    account.list_emails = lambda _, _heard: ["a", "a", "a"]
    follower.look(notified())
    assert known(books) == 1


def test_where_emails_bear_no_history_id_the_cursor_goes_to_what_watch_said_before_the_listing(
    follower, account, books
):
    account.bears_history = False
    account.receive("a", "b")
    assert follower.look(notified()).cursor == 2

    real_watch = account.watch

    def watch_then_arrival():
        said = real_watch()
        account.receive("late")
        return said

    account.watch = watch_then_arrival
    source = follower.look(notified())
    assert source.cursor == 2, "the email that came after /watch must not be passed"
    assert known(books) == 3


def test_one_email_without_a_history_id_does_not_end_the_watch_for_resets(follower, account, books):
    account.bears_history = False
    account.receive("bare")
    assert follower.look(notified()).cursor_key is None
    account.bears_history = True
    account.receive("b", "c")
    assert follower.look(notified()).cursor_key == "c"
    account.reset()
    account.receive("1", "2", "3", "4")  # the new account has caught up with the cursor
    follower.look(notified(4))
    assert known(books) == 7


def test_the_cursor_stays_while_the_last_emails_cannot_be_fetched(follower, account, books):
    account.receive("a", "b")
    account.get_email = lambda _: None
    assert follower.look(notified()).cursor == 0
    assert known(books) == 2


@pytest.fixture
def sick(account, monkeypatch):
    """Ids that FakeMail fails to return, while it serves all others."""
    ids: set[str] = set()
    asked = []
    get = account.get_email

    def get_email(email_id):
        asked.append(email_id)
        if email_id in ids:
            raise DependencyTrouble("status 500", dependency="fakemail")
        return get(email_id)

    monkeypatch.setattr(account, "get_email", get_email)
    return ids, asked


def test_a_last_email_that_cannot_be_fetched_keeps_nothing_out_of_the_books(follower, account, books, sick):
    account.receive("a", "b", "sick")
    sick[0].add("sick")
    source = follower.look(notified(3))
    assert known(books) == 3
    assert (source.cursor, source.cursor_key) == (2, "b"), "to the newest that could be asked"


def test_while_no_email_can_be_fetched_all_that_is_listed_enters_the_books_and_the_cursor_stays(
    follower, account, books, sick
):
    account.receive("a", "b")
    sick[0].update("ab")
    assert follower.look(notified(2)).cursor == 0
    assert known(books) == 2
    sick[0].clear()
    assert follower.look(notified(2)).cursor == 2


def test_an_email_that_failed_is_asked_last_the_next_time(follower, account, sick):
    account.receive("a", "sick")
    sick[0].add("sick")
    follower.look(notified(2))
    account.receive("c", history_id=2)
    sick[1].clear()
    follower.look(notified(3))
    assert "sick" not in sick[1]


def test_an_email_that_becomes_listable_after_its_notification_is_found_by_the_next_look(follower, account, books):
    account.receive("a")
    account.hidden.add("a")
    follower.look(notified(1))
    assert known(books) == 0
    account.hidden.clear()
    follower.look(notified(1))
    assert known(books) == 1


def test_a_gap_that_fills_late_is_found_by_a_poll_from_the_floor(follower, account, books):
    account.receive("gap", "b")
    account.hidden.add("gap")
    assert follower.look(notified()).cursor == 2
    account.hidden.clear()
    follower.look(notified())
    assert known(books) == 1, "a look from the cursor cannot see it"
    follower.poll(polled())
    assert known(books) == 2


def test_the_floor_rises_only_after_the_overlap(follower, account, books):
    account.receive("a")
    follower.poll(polled())
    assert books.source("main").floor == 0
    assert follower.poll(Look("poll", time.time() + 61)).floor == 1


def test_a_reset_seen_by_watch_starts_again_from_zero(follower, account, books, caplog):
    account.receive(*(f"old{number}" for number in range(5)))
    follower.poll(polled())
    account.reset()
    account.receive("new")
    caplog.set_level("INFO", logger="actors")
    source = follower.look(notified(1))
    assert (source.epoch, source.cursor, known(books)) == (1, 1, 6)
    assert caplog.messages == ["source main: its account seems to be reset; listing it again from 0"]


def test_a_reset_that_has_grown_past_the_cursor_is_seen_because_its_email_is_gone(follower, account, books):
    account.receive("old1", "old2")
    follower.poll(polled())
    account.reset()
    account.receive("new1", "new2", "new3")
    follower.poll(polled())
    assert (books.source("main").epoch, known(books)) == (1, 5)


@pytest.mark.parametrize("count", [2, 3])
def test_a_reset_that_has_caught_up_with_the_cursor_is_seen_by_the_next_look_without_a_poll(
    follower, account, books, count
):
    account.receive("old1", "old2")
    follower.look(notified(2))
    account.reset()
    account.receive(*(f"new{number}" for number in range(count)))
    source = follower.look(notified(count))
    assert (source.epoch, source.cursor, known(books)) == (1, count, 2 + count)


@pytest.mark.parametrize(
    "trouble",
    [DependencyTrouble("status 500", dependency="fakemail"), Throttled("429", dependency="fakemail"), Killed()],
    ids=lambda trouble: type(trouble).__name__,
)
@pytest.mark.parametrize("way", ["look", "poll"])
def test_a_reset_that_has_grown_past_the_cursor_is_seen_although_the_check_fails_at_first(
    follower, account, books, monkeypatch, way, trouble
):
    """The new account's email must not replace the one that tells the old account before the two are told apart."""
    account.receive("old1", "old2")
    follower.look(notified(2))
    follower.poll(Look("poll", time.time() + 61))
    assert books.source("main").floor == 2, "polls do not list below it"
    account.reset()
    account.receive("new1", "new2", "new3")
    get = account.get_email

    def get_email(email_id):
        if email_id.startswith("old"):
            raise trouble
        return get(email_id)

    with monkeypatch.context() as patch, suppress(DependencyTrouble, Killed):
        patch.setattr(account, "get_email", get_email)
        follower.look(notified(3)) if way == "look" else follower.poll(polled())
    follower.look(notified(3))
    source = follower.poll(polled())
    assert (source.epoch, source.cursor, known(books)) == (1, 3, 5)


def test_what_was_listed_before_a_reset_was_seen_is_entered_although_it_is_gone_since(
    follower, account, books, monkeypatch
):
    account.receive("old1", "old2")
    follower.look(notified(2))
    account.reset()
    account.receive("new1", "new2", "new3")
    begin = books.reset

    def reset(*args):
        account.reset()
        return begin(*args)

    monkeypatch.setattr(books, "reset", reset)
    source = follower.look(notified(3))
    assert (source.epoch, known(books)) == (1, 3), "old1, old2 and new3, which the first listing had"


def test_a_false_alarm_costs_one_listing_and_no_email(follower, account, books):
    account.receive("a", "b")
    follower.poll(polled())
    del account.emails["b"]  # the email that set the cursor was deleted; the account is the same
    follower.poll(polled())
    follower.poll(polled())
    assert known(books) == 2


@pytest.mark.parametrize(("came", "left"), [(1, 0), (2, 1), (5, 4), (5, 2), (5, 0)])
def test_after_start_from_now_deleting_the_newest_emails_takes_nothing_in(follower, account, books, came, left):
    account.receive(*(f"old{number}" for number in range(500)))
    follower.skip_to_now()
    account.receive(*(f"new{number}" for number in range(came)))
    follower.look(notified())
    for number in range(left, came):
        del account.emails[f"new{number}"]
    follower.poll(polled())
    follower.look(notified())
    assert known(books) == came


def test_after_start_from_now_deleting_the_newest_of_the_skipped_emails_too_takes_nothing_in(follower, account, books):
    account.receive(*(f"old{number}" for number in range(500)))
    follower.skip_to_now()
    account.receive("new")
    follower.look(notified())
    for email_id in ("new", "old499", "old498", "old497"):
        del account.emails[email_id]
    follower.poll(polled())
    follower.look(notified())
    assert known(books) == 1


def test_an_old_email_that_the_listing_repeats_is_not_taken_for_the_newest_skipped_one(
    follower, account, books, monkeypatch
):
    account.receive("old1", "old2", "old3")
    with monkeypatch.context() as patch:
        patch.setattr(account, "list_emails", lambda *_: ["old1", "old2", "old3", "old1"])
        follower.skip_to_now()
    account.receive("new")
    follower.look(notified())
    del account.emails["new"]
    follower.poll(polled())
    assert (books.source("main").cursor, known(books)) == (3, 1)


def test_after_start_from_now_a_watch_that_lags_takes_nothing_in(follower, account, books, monkeypatch):
    account.receive(*(f"old{number}" for number in range(50)))
    follower.skip_to_now()
    account.receive("new")
    follower.look(notified())
    del account.emails["old49"]
    monkeypatch.setattr(account, "watch", lambda: 50)
    for _ in range(3):
        follower.poll(polled())
    assert known(books) == 1
    account.receive("next")
    follower.look(notified())
    assert known(books) == 2


def test_an_account_that_is_set_back_after_start_from_now_loses_no_mail_and_brings_back_none(follower, account, books):
    """A backup of an older state is restored, and new mail gets the history ids of mail that is gone."""
    account.receive(*(f"old{number}" for number in range(50)))
    follower.skip_to_now()
    account.receive(*(f"lost{number}" for number in range(20)))
    follower.look(notified())
    account.emails = {key: at for key, at in account.emails.items() if at <= 60}
    account.history_id = 60
    account.receive(*(f"after{number}" for number in range(5)))
    follower.poll(polled())
    account.receive(*(f"later{number}" for number in range(20)))
    follower.look(notified())
    assert known(books) == 20 + 5 + 20


def test_after_start_from_now_a_skipped_email_that_fakemail_fails_to_give_hides_no_reset(
    follower, account, books, sick
):
    account.receive("old1", "old2")
    follower.skip_to_now()
    account.receive("a")
    follower.look(notified())
    account.reset()
    account.receive("b")
    sick[0].add("old2")
    follower.poll(polled())
    assert (books.source("main").epoch, known(books)) == (1, 2)


def test_after_start_from_now_a_skipped_email_that_fakemail_fails_to_give_is_still_skipped(
    follower, account, books, sick, monkeypatch
):
    account.receive("old1", "old2")
    follower.skip_to_now()
    account.receive("a")
    follower.look(notified())
    sick[0].add("old2")
    with monkeypatch.context() as patch:
        patch.setattr(account, "watch", lambda: 1)  # a false alarm
        follower.poll(polled())
    assert (books.source("main").epoch, known(books)) == (1, 1)


def test_an_account_that_was_empty_at_the_start_has_nothing_left_alone(follower, account, books):
    follower.skip_to_now()
    assert books.skipped(books.source("main")) is None


def test_what_was_left_alone_is_known_however_old_it_is(follower, account, books):
    account.receive("old", history_id=1)
    account.history_id = 5_000
    follower.skip_to_now()
    assert books.skipped(books.source("main")).keys == ["old"]


def test_after_start_from_now_a_reset_that_has_caught_up_is_seen(follower, account, books):
    account.receive("old1", "old2")
    follower.skip_to_now()
    account.receive("a")
    follower.look(notified())
    account.reset()
    account.receive("b", "c", "d", "e")
    follower.poll(polled())
    assert (books.source("main").epoch, known(books)) == (1, 5)


def test_after_start_from_now_a_reset_that_has_caught_up_before_any_mail_came_is_seen(follower, account, books):
    """No email has set the cursor yet: the skipped ones tell that this is another account."""
    account.receive("old1", "old2")
    follower.skip_to_now()
    account.reset()
    account.receive("b", "c", "d")
    follower.look(notified(3))
    assert (books.source("main").epoch, known(books)) == (1, 3)
    follower.poll(polled())
    assert (books.source("main").epoch, books.source("main").cursor) == (1, 3)


def test_after_start_from_now_deleting_the_newest_emails_before_any_mail_came_takes_nothing_in(
    follower, account, books
):
    account.receive(*(f"old{number}" for number in range(500)))
    follower.skip_to_now()
    for number in range(480, 500):
        del account.emails[f"old{number}"]
    follower.poll(polled())
    account.receive("new")
    del account.emails["old479"]
    follower.look(notified())
    assert (books.source("main").epoch, known(books)) == (0, 1)


def test_after_start_from_now_the_cursor_stays_while_fakemail_fails_to_give_the_skipped_emails(
    follower, account, books, sick
):
    account.receive("old1", "old2")
    follower.skip_to_now()
    account.reset()
    account.receive("b", "c", "d")
    sick[0].update(("old1", "old2"))
    follower.look(notified(3))
    assert (books.source("main").cursor, known(books)) == (2, 1)
    sick[0].clear()
    follower.look(notified(3))
    assert (books.source("main").cursor, known(books)) == (3, 3)


def test_after_start_from_now_skipped_emails_that_are_listed_but_cannot_be_fetched_tell_the_account(
    follower, account, books, monkeypatch
):
    account.receive("old1", "old2")
    follower.skip_to_now()
    get = account.get_email
    monkeypatch.setattr(account, "get_email", lambda email_id: None if "old" in email_id else get(email_id))
    account.receive("new")
    follower.look(notified(3))
    assert (books.source("main").epoch, books.source("main").cursor, known(books)) == (0, 3, 1)


def test_of_many_skipped_emails_that_fakemail_fails_to_give_the_history_is_listed_once(follower, account, books, sick):
    account.receive(*(f"old{number}" for number in range(20)))
    follower.skip_to_now()
    account.receive("new")
    follower.look(notified())
    account.reset()
    account.receive("b")
    sick[0].update(f"old{number}" for number in range(20))
    account.listings.clear()
    follower.poll(polled())
    assert (books.source("main").epoch, known(books)) == (1, 2)
    assert account.listings == [0, 0], "to look for the skipped ones, and then to enter what there is"


def test_after_start_from_now_a_reset_is_seen_by_watch(follower, account, books):
    account.receive("old1", "old2")
    follower.skip_to_now()
    account.receive("a")
    follower.look(notified())
    account.reset()
    account.receive("b")
    follower.poll(polled())
    assert (books.source("main").epoch, known(books)) == (1, 2)


@pytest.mark.parametrize("steady", [False, True])
def test_after_a_step_of_the_clock_no_floor_rises_before_the_overlap_is_over(
    follower, account, books, monkeypatch, steady
):
    """An email that becomes visible late is listed from the floor: a clock change must not make the floor pass it."""
    account.receive("a", "late", "b")
    account.hidden.add("late")
    follower.poll(polled())
    monkeypatch.setattr("engine.clock.steady_s", lambda: 61.0 if steady else 59.0)
    follower.poll(Look("poll", time.time() + 70.0))
    assert books.source("main").floor == (3 if steady else 0)


def test_an_email_that_fakemail_fails_to_give_stops_no_poll(follower, account, books, sick):
    account.receive("a", "b")
    assert follower.poll(polled()).cursor_key == "b"
    sick[0].add("b")
    account.receive("c")
    follower.poll(polled())
    assert (books.source("main").epoch, known(books)) == (0, 3)


def test_start_from_now_leaves_what_is_there_alone(follower, account, books):
    account.receive("old")
    follower.skip_to_now()
    account.receive("new")
    follower.look(notified())
    follower.poll(polled())
    assert [row.key for row in books.open_rows(1, "normal", 0, 10)] == ["new"]


@pytest.mark.parametrize("left", [["old"], []])
def test_a_leader_that_was_frozen_in_its_first_start_from_now_skips_no_mail_that_came_since(
    follower, account, books, left, monkeypatch
):
    """It was frozen before its call of /watch, and another one led meanwhile: its skip would be a second one."""
    account.receive(*left)
    watch = account.watch

    def frozen():
        monkeypatch.setattr(account, "watch", watch)
        Follower("main", account, books, overlap=60.0).skip_to_now(mark="started:main")
        account.receive("new")
        return watch()

    monkeypatch.setattr(account, "watch", frozen)
    follower.skip_to_now(mark="started:main")
    follower.poll(polled())
    assert [row.key for row in books.open_rows(1, "normal", 0, 10)] == ["new"]


def test_a_listing_longer_than_a_slice_goes_in_by_slices_and_the_cursor_with_the_last(follower, account, books):
    account.receive(*(f"e{number}" for number in range(4_500)))
    told = []
    follower.progress = lambda new: told.append((new, books.source("main").cursor))
    follower.look(notified())
    assert told == [(2_000, 0), (2_000, 0), (500, 4_500)]


def test_two_followers_of_one_source_lose_nothing(account, books):
    first, second = (Follower("main", account, books, overlap=60.0) for _ in range(2))
    account.receive("a")
    original = account.get_email

    def overtaken(email_id):
        account.get_email = original
        account.receive("b")
        second.look(notified())
        return original(email_id)

    account.get_email = overtaken
    with pytest.raises(StaleError):
        first.look(notified())
    first.look(notified())
    assert (books.source("main").cursor, known(books)) == (2, 2)
