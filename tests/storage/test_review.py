"""The review queue: least certain and most contested first, with the number of similar emails; on both databases."""

import pytest

from storage.books import Books
from storage.model_files import ModelStore
from storage.records import Content
from storage.results import ResultStore
from storage.review import ReviewStore
from storage.search import Search
from tests.storage.books_fixtures import enter, result, save

SURE = {"meeting": 0.9, "promotion": 0.05, "intro": 0.03, "unknown": 0.02}
TORN = {"meeting": 0.4, "promotion": 0.35, "intro": 0.15, "unknown": 0.1}


@pytest.fixture
def reviews(db):
    return ReviewStore(db)


@pytest.fixture
def saved(db):
    def listed_and_saved(key, **changes):
        (ref,) = enter(Books(db), [key])
        return save(ResultStore(db), result(ref, key, **changes))[0]

    return listed_and_saved


def keys(found):
    return [item.result.key for item in found[0]]


def test_the_least_certain_come_first_and_the_certain_not_at_all(reviews, saved):
    saved("sure", confidence=0.9, probabilities=SURE)
    saved("torn", confidence=0.4, probabilities=TORN)
    saved("half", confidence=0.55, probabilities={**TORN, "meeting": 0.55, "promotion": 0.2})
    found = reviews.queue(None, None, 10, None)
    assert keys(found) == ["torn", "half"]
    assert (found[0][0].score, found[0][0].reasons, found[1:]) == (0.95, ("uncertain",), (None, 2))
    first = reviews.queue(None, None, 1, None)
    assert (keys(first), keys(reviews.queue(None, None, 1, first[1]))) == (["torn"], ["half"])
    assert keys(reviews.queue("elsewhere", None, 10, None)) == []


def test_what_others_contest_rises_and_says_who(reviews, saved, db):
    plain = saved("plain", confidence=0.4, probabilities=TORN)
    shadowed = saved("shadowed", confidence=0.4, probabilities=TORN)
    saved("ruled", confidence=0.9, probabilities=SURE, rule_label="intro", rule_id=3)
    ModelStore(db).note_shadow("v1", "v2", {}, [(shadowed.ref, "meeting", "intro", 0.7)], "t")
    reviews.note_opinions([(plain.ref, "meeting", 0.9), (shadowed.ref, "promotion", 0.8)])
    items = {item.result.key: item for item in reviews.queue(None, "v2", 10, None)[0]}
    assert list(items) == ["shadowed", "plain", "ruled"]
    assert items["shadowed"].reasons == ("uncertain", "shadow", "fakemail")
    assert (items["shadowed"].shadow_label, items["shadowed"].fakemail_label) == ("intro", "promotion")
    assert (items["plain"].reasons, items["plain"].fakemail_label) == (("uncertain",), "meeting")
    assert (items["ruled"].reasons, items["ruled"].rule_label, items["ruled"].result.rule_id) == (("rule",), "intro", 3)
    assert keys(reviews.queue(None, None, 10, None)) == ["shadowed", "plain", "ruled"]


def test_what_a_person_said_is_settled(reviews, saved, db):
    saved("a", confidence=0.4, probabilities=TORN)
    ResultStore(db).label("a", "main", "intro", "person")
    assert reviews.queue(None, None, 10, None) == ([], None, 0)


def test_what_is_answered_between_two_pages_makes_the_second_skip_none(reviews, saved, db):
    for key in "abcd":
        saved(key, confidence=0.4, probabilities=TORN)
    found, place, _ = reviews.queue(None, None, 2, None)
    assert [item.result.key for item in found] == ["d", "c"]
    for key in "dc":
        ResultStore(db).label(key, "main", "intro", "person")
    assert keys(reviews.queue(None, None, 2, place)) == ["b", "a"]


def test_neither_another_sources_mail_nor_what_is_settled_takes_places(reviews, saved, db, monkeypatch):
    monkeypatch.setattr("storage.review.CANDIDATES", 1)
    ours = {"probabilities": SURE, "confidence": 0.9, "rule_label": "intro"}
    shadowed = [saved(key, **ours, rule_id=1) for key in "ab"]
    ModelStore(db).note_shadow("v1", "v2", {}, [(each.ref, "meeting", "intro", 0.7) for each in shadowed], "t")
    ResultStore(db).label("b", "main", "intro", "person")
    assert keys(reviews.queue(None, "v2", 10, None)) == ["a"]
    books = Books(db)
    (ref,) = enter(books, ["other"], source=books.open_source("second", "http://second.example"))
    save(ResultStore(db), result(ref, "other", source="second", confidence=0.3, probabilities=TORN))
    saved("torn", confidence=0.4, probabilities=TORN)
    assert keys(reviews.queue("main", None, 10, None)) == ["torn", "a"]
    assert keys(reviews.queue("second", None, 10, None)) == ["other"]


def test_similar_mails_are_of_the_same_sender_or_have_the_same_subject(reviews, saved, db):
    first = saved("a", content=Content("Offer", "x", "Shop <news@shop.example>"))
    saved("b", content=Content("Other", "x", "news@shop.example"))
    saved("c", content=Content("Offer", "x", "Shop <news@shop.example>"), label="promotion")
    nobody = saved("d", content=Content("Weekly report 7", "x"))
    saved("e", content=Content("Re: weekly report 7", "x"))
    saved("f", content=Content("Offer", "x", "Shop <news@shop.example>"))
    ResultStore(db).label("f", "main", "intro", "person")
    while Search(db).index(100):
        pass
    assert reviews.similar([first, nobody]) == [1, 1]


@pytest.mark.parametrize("sender", ["(" * 4096, ":" * 4096, "a" + ".(" * 2000, "a " * 2048, "a@" * 2048 + "<>"])
def test_a_sender_of_any_form_leaves_the_queue_as_it_is(reviews, saved, db, sender):
    first = saved("a", content=Content("Offer", "x", sender))
    saved("b", content=Content("An offer", "x", "news@shop.example"))
    while Search(db).index(100):
        pass
    assert reviews.similar([first]) == [1]
