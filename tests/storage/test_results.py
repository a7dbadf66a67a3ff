"""Results: saved once under their guard, counted with it, corrected by people, totalled without counting rows."""

import pytest

from storage.records import Content
from tests.storage.books_fixtures import URL, attempt, enter, result, save


def test_a_batch_is_saved_and_read_back(books, store):
    refs = enter(books, ["a", "b"])
    saved = save(store, result(refs[1], "b", label="intro"), result(refs[0], "a"), shard="w1")
    assert [(each.key, each.label) for each in saved] == [("b", "intro"), ("a", "meeting")]
    assert store.get("a", "main") == saved[1]
    assert store.get("a", "other") is None
    assert store.get("c", "main") is None
    assert saved[0].total_ms > saved[0].queued_ms > 0
    audit = books.audit()
    assert (audit.results, audit.queued) == (2, 0)


def test_a_batch_saved_twice_is_stored_once_and_answers_the_same(books, store):
    refs = enter(books, ["a", "b"])
    batch = [result(refs[0], "a"), result(refs[1], "b")]
    first = save(store, *batch, shard="w1")
    assert save(store, *batch, shard="w2") == first
    assert store.stats(batch[0].processed_at).total_emails_processed == 2


def test_an_email_twice_in_one_batch_is_stored_once(books, store):
    (ref,) = enter(books, ["a"])
    first, second = save(store, result(ref, "a"), result(ref, "a", label="intro"), shard="w1")
    assert first == second
    assert first.label == "meeting"
    assert books.audit().results == 1


def test_an_older_delivery_leaves_the_row_to_the_one_that_comes_after_its_retry(books, store):
    (ref,) = enter(books, ["a"])
    books.postpone([attempt(ref, "a")])  # and then the process died: its message is redelivered
    assert save(store, result(ref, "a"), shard="w1") == [None]
    (saved,) = save(store, result(ref, "a", attempts=1), shard="w1")
    assert saved is not None
    assert save(store, result(ref, "a"), result(ref, "a", attempts=1), shard="w1") == [None, saved]


def test_an_email_that_was_opened_anew_is_told_of_by_its_newest_message_alone(books, store):
    (ref,) = enter(books, ["a"])
    older = books.newest_seq(books.source("main").id)
    books.refeed([(ref, 0)])
    newer = books.newest_seq(books.source("main").id)
    assert save(store, result(ref, "a", feed_seq=older), shard="w1") == [None]
    first = save(store, result(ref, "a", feed_seq=older), result(ref, "a", feed_seq=newer), shard="w1")
    assert first[0] is None
    assert save(store, result(ref, "a", feed_seq=older), result(ref, "a", feed_seq=newer), shard="w1") == first
    assert save(store, result(ref, "a"), shard="w1") == [first[1]], "a message of an older version names no number"


def test_what_is_not_open_in_this_generation_is_not_saved(books, store):
    (ref,) = enter(books, ["a"])
    wrong = [result(ref, "a", generation=1), result(ref, "b"), result(ref + 7, "a")]
    assert save(store, *wrong, shard="w1") == [None, None, None]
    audit = books.audit()
    assert (audit.listed, audit.results, audit.queued) == (1, 0, 1)
    assert store.content(ref) is None


def test_a_postponement_after_the_result_changes_nothing(books, store):
    (ref,) = enter(books, ["a"])
    save(store, result(ref, "a"), shard="w1")
    assert books.postpone([attempt(ref, "a")]) == [False]
    assert books.audit().results == 1


def test_a_result_ends_a_retry_that_was_waiting(books, store):
    (ref,) = enter(books, ["a"])
    told = attempt(ref, "a")
    books.postpone([told])
    assert store.stats(told.at).retrying == 1
    save(store, result(ref, "a", attempts=1), shard="w1")
    stats = store.stats(told.at)
    assert (stats.retrying, stats.queued) == (0, 0)
    assert books.due(told.next_at + 1, 10) == 0
    assert books.find("a")[0].next_attempt_at is None


def test_content_is_kept_without_what_no_database_holds(books, store):
    (ref,) = enter(books, ["a"])
    content = Content(
        subject="n\x00l", body="half \ud83d and whole \U0001f600", headers={"X": ["\ud800", "ok"]}, truncated=True
    )
    (saved,) = save(store, result(ref, "a", content=content), shard="w1")
    kept = store.content(ref)
    assert (saved.subject, kept.subject) == ("n\ufffdl", "n\ufffdl")
    assert kept.body == "half \ufffd and whole \U0001f600"
    assert kept.headers == {"X": ["\ufffd", "ok"]}
    assert kept.truncated


def test_a_rule_goes_before_the_model(books, store):
    (ref,) = enter(books, ["a"])
    (saved,) = save(store, result(ref, "a", rule_id=4, rule_label="promotion"), shard="w1")
    assert (saved.label, saved.model_label, saved.decided_by) == ("promotion", "meeting", "rule")
    assert store.get("a", "main") == saved


def test_a_person_goes_before_all_and_can_take_it_back(books, store):
    (ref,) = enter(books, ["a"])
    (saved,) = save(store, result(ref, "a"), shard="w1")
    corrected = store.label("a", "main", "intro", by="ann")
    assert (corrected.label, corrected.decided_by, corrected.model_label) == ("intro", "person", "meeting")
    store.label("a", "main", "intro", by="ann")
    now = saved.processed_at
    assert store.stats(now).emails_by_classification["intro"] == 1
    assert sum(row["intro"] for row in store.timeseries(now - 60, now + 1, "minute")) == 1
    assert store.label("a", "main", None, by="ann") == saved
    stats = store.stats(now)
    assert stats.emails_by_classification == {"meeting": 1, "promotion": 0, "intro": 0, "unknown": 0}
    assert store.label("b", "main", "intro", by="ann") is None


def test_stats_before_the_first_email_say_none(books, store):
    stats = store.stats(1000.0)
    assert stats.total_emails_processed == 0
    assert stats.avg_processing_time_ms is stats.p50_processing_time_ms is stats.success_rate is None
    assert stats.last_processed_at is None


def test_stats_are_summed_over_shards(books, store):
    refs = enter(books, list("abcdef"))
    now = 1_700_000_010.0
    for number, ref in enumerate(refs[:4]):
        ms = float(2**number)
        store.save([result(ref, "abcd"[number], processing_ms=ms, processed_at=now)], shard=f"w{number}")
    stats = store.stats(now)
    assert stats.total_emails_processed == sum(stats.emails_by_classification.values()) == 4
    assert (stats.min_processing_time_ms, stats.max_processing_time_ms) == (1.0, 8.0)
    assert stats.avg_processing_time_ms == 15 / 4
    assert stats.p50_processing_time_ms == pytest.approx(2.0, rel=0.1)
    assert stats.p99_processing_time_ms == 8.0  # not above the longest; the histogram is exact to about 5 %
    assert (stats.queued, stats.retrying, stats.success_rate) == (2, 0, 100.0)
    assert (stats.emails_per_minute, stats.last_processed_at) == (4.0, now)
    assert stats.last_history_id == {"main": 0}
    assert store.stats(now + 600).p50_processing_time_ms is None


def test_the_figures_of_one_source_leave_the_others_out(books, store):
    main, other = books.open_source("main", URL), books.open_source("other", URL)
    now = 1_700_000_010.0
    refs, others = enter(books, list("abcd"), source=main, lane="low"), enter(books, ["a"], source=other)
    save(store, result(refs[0], "a", processed_at=now, processing_ms=3.0), shard="w")
    save(store, result(refs[1], "b", processed_at=now - 500, label="intro", processing_ms=5.0), shard="w")
    save(store, result(others[0], "a", source="other", processed_at=now + 1), shard="w")
    books.postpone([attempt(refs[2], "c")])
    stats = store.source_stats("main", now)
    assert (stats.total_emails_processed, stats.emails_by_classification["intro"]) == (2, 1)
    assert (stats.queued, stats.retrying, stats.open_by_lane) == (1, 1, {"high": 0, "normal": 0, "low": 2})
    assert (stats.emails_per_minute, stats.last_processed_at) == (1.0, now)
    assert (stats.min_processing_time_ms, stats.max_processing_time_ms) == (3.0, 5.0)
    assert stats.p50_processing_time_ms == stats.p99_processing_time_ms == 3.0
    assert stats.last_history_id == {"main": 0}
    assert store.source_stats("other", now + 1).oldest_listed_at is None
    with pytest.raises(LookupError):
        store.source_stats("nobody", now)


def test_a_timeseries_has_a_bucket_for_every_minute_and_hour(books, store):
    refs = enter(books, ["a", "b"])
    hour = 1_700_002_800
    store.save(
        [result(refs[0], "a", processed_at=hour + 61.0), result(refs[1], "b", processed_at=hour + 3601.0)], shard="w1"
    )
    minutes = store.timeseries(hour, hour + 180, "minute")
    assert [(row["start"] - hour, row["meeting"], row["intro"]) for row in minutes] == [
        (0, 0, 0),
        (60, 1, 0),
        (120, 0, 0),
    ]
    hours = store.timeseries(hour - 3600, hour + 3601, "hour")
    assert [(row["start"] - hour, row["meeting"]) for row in hours] == [(-3600, 0), (0, 1), (3600, 1)]


def test_old_histograms_are_forgotten_and_counts_by_class_are_not(books, store):
    (ref,) = enter(books, ["a"])
    at = 1_700_002_830.0
    save(store, result(ref, "a", processed_at=at), shard="w1")
    assert books.forget_histograms(at + 60) == 0
    assert store.stats(at).p50_processing_time_ms is not None
    assert books.forget_histograms(at + 3700) == 2
    assert store.stats(at).p50_processing_time_ms is None
    assert [row["meeting"] for row in store.timeseries(at, at + 1, "minute")] == [1]
