"""Judging again: the effective label and the counters change, people's labels and the books stay; on both databases."""

import time

import pytest

from storage.books import Books
from storage.corrections import Corrections
from storage.reading import EmailFilter
from storage.reprocessing import Judgement, Reprocessing
from storage.results import ResultStore
from storage.retention import Retention
from storage.statements import execute
from tests.storage.books_fixtures import enter, result, save

ALL = EmailFilter()


@pytest.fixture
def reprocessing(db):
    return Reprocessing(db)


@pytest.fixture
def results(db):
    return ResultStore(db)


@pytest.fixture
def saved(db, results):
    def listed_and_saved(*keys, **changes):
        refs = enter(Books(db), keys)
        return save(results, *(result(ref, key, **changes) for ref, key in zip(refs, keys, strict=True)))

    return listed_and_saved


def says(result_id, label, **changes):
    fields = {"confidence": 0.8, "probabilities": {label: 0.8}, "model_version": "v2", "below_threshold": False}
    return Judgement(**{"id": result_id, "label": label, "runner_up": "unknown", **fields, **changes})


def counts(results):
    return {k: v for k, v in results.stats(time.time()).emails_by_classification.items() if v}


def test_what_changed_is_given_back_and_counted_by_the_difference(reprocessing, results, saved, db):
    a, b = saved("a", "b")
    before = Books(db).audit()
    changed = reprocessing.apply([says(b.id, "meeting"), says(a.id, "intro")], reprocessing.begin())
    assert [(each.key, each.label, each.model_version, each.decided_by) for each in changed] == [
        ("a", "intro", "v2", "model")
    ]
    assert counts(results) == {"meeting": 1, "intro": 1}
    assert (
        sum(
            sum(v for k, v in row.items() if k != "start")
            for row in results.timeseries(time.time() - 60, time.time() + 60, "minute")
        )
        == 2
    )
    assert (results.get("b", "main").model_version, results.stats(time.time()).total_emails_processed) == ("v2", 2)
    after = Books(db).audit()
    assert (after.results, after.listed, after.queued) == (before.results, before.listed, before.queued)


def test_a_persons_word_is_never_overwritten_and_its_undo_finds_the_new_one(reprocessing, results, saved):
    (a,) = saved("a")
    results.label("a", "main", "promotion", "person")
    assert reprocessing.apply([says(a.id, "intro")], reprocessing.begin()) == []
    assert (results.get("a", "main").label, results.get("a", "main").decided_by) == ("promotion", "person")
    assert results.label("a", "main", None, "person").label == "intro"


def test_a_rule_goes_before_the_model_and_away_again(reprocessing, results, saved):
    (a,) = saved("a")
    reprocessing.apply([says(a.id, "intro", rule_label="promotion", rule_id=7)], reprocessing.begin())
    assert (results.get("a", "main").label, results.get("a", "main").decided_by) == ("promotion", "rule")
    reprocessing.apply([says(a.id, "intro")], reprocessing.begin())
    assert (results.get("a", "main").label, results.get("a", "main").decided_by) == ("intro", "model")


def test_a_pass_told_twice_or_overtaken_changes_nothing(reprocessing, results, saved):
    (a,) = saved("a")
    first, second = reprocessing.begin(), reprocessing.begin()
    assert reprocessing.apply([says(a.id, "intro")], second)
    assert reprocessing.apply([says(a.id, "intro")], second) == []
    assert reprocessing.apply([says(a.id, "promotion")], first) == []
    assert counts(results) == {"intro": 1}


def test_pages_go_through_what_fits_and_no_further_than_the_start(reprocessing, saved):
    stored = [*saved("a", "b", confidence=0.3), *saved("c", confidence=0.9)]
    up_to = reprocessing.newest()
    saved("late", confidence=0.3)
    unsure = EmailFilter(max_confidence=0.5, model_version="v1")
    assert (reprocessing.count(ALL, 0, up_to), reprocessing.count(unsure, 0, up_to)) == (3, 2)
    first = reprocessing.page(unsure, 0, up_to, 1)
    second = reprocessing.page(unsure, first[0].id, up_to, 5)
    assert [each.id for each in first + second] == [stored[0].id, stored[1].id]
    assert (first[0].label, first[0].person_label, first[0].content.subject) == ("meeting", None, "subject of a")
    assert [each.content.subject for each in reprocessing.newest_judged(2**62, 2)] == [
        "subject of late",
        "subject of c",
    ]


def test_corrections_come_with_their_emails(db, results, saved):
    saved("a", "b")
    corrections = Corrections(db)
    assert (corrections.newest(10), corrections.stamp()) == ([], (0, 0.0))
    results.label("a", "main", "intro", "person")
    (found,) = corrections.newest(10)
    assert (found.label, found.model_label, found.content.subject) == ("intro", "meeting", "subject of a")
    assert corrections.stamp() == (1, found.at)
    assert [each.subject for each in corrections.sample(10)] == ["subject of b"]


def test_an_email_whose_text_was_forgotten_is_not_judged_or_learned_by_what_is_left(reprocessing, results, saved, db):
    _, b = saved("a", "b")
    for key in ("a", "b"):
        results.label(key, "main", "intro", "anna")
    empty = "UPDATE content SET body = '', headers = '{}' WHERE ref IN (SELECT ref FROM result WHERE id = ?)"
    db.write(execute, empty, [b.id])  # it arrived like that
    Retention(db).slice("bodies", time.time() - 3600)
    assert reprocessing.count(ALL, 0, b.id) == 2

    db.write(execute, "UPDATE book SET listed_at = 1 WHERE key = 'a'")
    assert Retention(db).slice("bodies", time.time() - 3600).forgotten == 1
    assert reprocessing.count(ALL, 0, b.id) == 1
    assert [each.key for each in reprocessing.page(ALL, 0, b.id, 10)] == ["b"]
    assert [each.ref for each in Corrections(db).newest(10)] == [Books(db).find("b")[0].ref]
