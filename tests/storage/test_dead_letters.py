"""Dead letters: buried once, kept as history, replayed and discarded under guards, and counted."""

from storage.records import Content
from tests.storage.books_fixtures import URL, attempt, burial, enter, result, save


def test_a_burial_keeps_reason_tries_and_content(books, letters, store):
    (ref,) = enter(books, ["a"])
    books.postpone([attempt(ref, "a", at=5.0)])
    (letter,) = letters.bury([burial(ref, "a", content=Content("subject", "body"), error="x" * 9999)])
    assert letters.get(letter.id) == letter
    assert (letter.reason, letter.attempts, letter.state, len(letter.error)) == ("classifier_error", 4, "dead", 2000)
    assert store.content(ref).body == "body"
    assert [each.at for each in letters.attempts_of(ref, 0)] == [5.0]
    audit = books.audit()
    assert (audit.dead, audit.queued, audit.retrying) == (1, 0, 0)
    stats = store.stats(1.0)
    assert (stats.dead_letters, stats.queued, stats.retrying, stats.success_rate) == (1, 0, 0, 0.0)
    assert books.find("a")[0].next_attempt_at is None


def test_an_email_that_was_opened_anew_is_buried_by_its_newest_message_alone(books, letters):
    (ref,) = enter(books, ["a"])
    older = books.newest_seq(books.source("main").id)
    books.refeed([(ref, 0)])
    newer = books.newest_seq(books.source("main").id)
    assert letters.bury([burial(ref, "a", feed_seq=older)]) == [None]
    (letter,) = letters.bury([burial(ref, "a", feed_seq=newer)])
    assert letter is not None
    assert letters.bury([burial(ref, "a", feed_seq=older), burial(ref, "a", feed_seq=newer)]) == [None, letter]


def test_a_burial_told_twice_answers_with_the_same_letter(books, letters, store):
    (ref,) = enter(books, ["a"])
    first = letters.bury([burial(ref, "a"), burial(ref, "a", error="again")])
    assert first[0] == first[1]
    assert letters.bury([burial(ref, "a")]) == first[:1]
    assert store.stats(1.0).dead_letters == 1


def test_what_is_not_open_in_this_generation_is_not_buried(books, letters, store):
    refs = enter(books, ["a", "b"])
    save(store, result(refs[0], "a"))
    wrong = [burial(refs[0], "a"), burial(refs[1], "b", generation=1), burial(refs[1], "a"), burial(77, "a")]
    assert letters.bury(wrong) == [None] * 4
    assert books.audit().dead == 0


def test_a_dead_email_is_not_saved_and_not_postponed(books, letters, store):
    (ref,) = enter(books, ["a"])
    letters.bury([burial(ref, "a")])
    assert save(store, result(ref, "a")) == [None]
    assert books.postpone([attempt(ref, "a", attempts=4)]) == [False]


def test_a_replay_opens_a_new_generation_in_the_high_lane(books, letters, store):
    (ref,) = enter(books, ["a"])
    source = books.source("main")
    seq = books.newest_seq(source.id)
    (letter,) = letters.bury([burial(ref, "a")])
    assert letters.replay([letter.id, 999]) == 1
    assert letters.replay([letter.id]) == 0
    (row,) = books.open_rows(source.id, "high", seq, 9)
    assert (row.ref, row.generation, row.attempts) == (ref, 1, 0)
    assert letters.get(letter.id).state == "replayed"
    assert letters.page() == ([], None)
    assert save(store, result(ref, "a")) == [None], "the old generation's message is late"
    assert letters.bury([burial(ref, "a")]) == [None]
    assert save(store, result(ref, "a", generation=1))[0].label == "meeting"
    stats = store.stats(1.0)
    assert (stats.dead_letters, stats.queued, stats.total_emails_processed) == (0, 0, 1)


def test_an_email_may_die_again_with_a_letter_of_its_own(books, letters):
    (ref,) = enter(books, ["a"])
    (first,) = letters.bury([burial(ref, "a")])
    letters.replay([first.id])
    (second,) = letters.bury([burial(ref, "a", generation=1)])
    assert second.id != first.id
    assert letters.replay([first.id]) == 0
    assert [each.id for each in letters.page()[0]] == [second.id]


def test_a_discarded_email_is_given_up_once(books, letters, store):
    (ref,) = enter(books, ["a"])
    (letter,) = letters.bury([burial(ref, "a")])
    assert letters.discard(letter.id)
    assert not letters.discard(letter.id)
    assert letters.replay([letter.id]) == 0
    audit, stats = books.audit(), store.stats(1.0)
    assert (audit.discarded, audit.dead, stats.dead_letters, stats.queued) == (1, 0, 0, 0)


def test_pages_go_from_the_newest_and_can_be_filtered(books, letters):
    other = books.open_source("other", URL)
    refs = enter(books, list("abcde"))
    (theirs,) = enter(books, ["a"], source=other)
    buried = letters.bury(
        [burial(ref, key, at=float(at)) for at, (ref, key) in enumerate(zip(refs, "abcde", strict=True))]
    )
    letters.bury([burial(theirs, "a", source="other", reason="gone", at=9.0)])
    page, before = letters.page(limit=4)
    assert [each.key for each in page] == ["a", "e", "d", "c"]
    rest, end = letters.page(before, limit=4)
    assert [each.key for each in rest] == ["b", "a"]
    assert end is None
    assert [each.source for each in letters.page(reason="gone")[0]] == ["other"]
    assert len(letters.page(source="main")[0]) == 5
    assert [each.id for each in letters.page(since=1.0, until=2.0)[0]] == [buried[1].id]
    assert len(letters.page(email="a")[0]) == 2


def test_groups_count_what_stands_by_cause(books, letters):
    refs = enter(books, ["a", "b", "c"])
    letters.bury([burial(refs[0], "a"), burial(refs[1], "b", error="newest"), burial(refs[2], "c", reason="gone")])
    groups = letters.groups()
    assert [(each.reason, each.count) for each in groups] == [("classifier_error", 2), ("gone", 1)]
    assert groups[0].error == "newest"
    assert letters.groups("main") == groups
    assert letters.groups("other") == []
