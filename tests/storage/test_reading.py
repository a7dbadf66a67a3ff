"""Pages, search and timelines give the same answers on both databases."""

import time

import pytest

from storage import search
from storage.books import Books
from storage.contents import write_contents
from storage.database import Database
from storage.reading import EmailFilter, Reader
from storage.records import Content
from storage.results import ResultStore
from storage.search import Search
from tests.storage.books_fixtures import attempt, enter, result

MAILS = {
    "a": Content("Project plan", "Let us meet on Thursday about the big plan", sender="Ana <ana@example.org>"),
    "b": Content("Sale", "The plan for your big savings: café vouchers", sender="shop@sale.example"),
    "c": Content("Re: plan", "nothing new", sender="ana@other.example"),
}
LABELS = {"a": ("meeting", 0.9), "b": ("promotion", 0.8), "c": ("unknown", 0.4)}


@pytest.fixture
def stored(db: Database):
    """Three emails, stored in the order b, a, c, and one that is still open."""
    books, results = Books(db), ResultStore(db)
    refs = dict(zip("abcd", enter(books, list("abcd")), strict=True))
    for number, key in enumerate("bac"):
        label, confidence = LABELS[key]
        row = result(
            refs[key], key, label=label, confidence=confidence, content=MAILS[key], processed_at=1000.0 + number
        )
        results.save([row], shard="t")
    while Search(db).index(2):
        pass
    return refs


def keys(page):
    return "".join(item.key for item in page.items)


def test_emails_come_newest_listed_first_and_results_newest_stored_first(db, stored):
    assert keys(Reader(db).emails(EmailFilter())) == "dcba"
    assert keys(Reader(db).results(EmailFilter())) == "cab"


def test_what_a_person_said_is_filtered_by_the_confidence_that_is_shown(db, stored):
    ResultStore(db).label("c", "main", "intro", by="ana")
    assert keys(Reader(db).results(EmailFilter(min_confidence=1.0))) == "c"
    assert "c" not in keys(Reader(db).results(EmailFilter(max_confidence=0.9999)))
    assert keys(Reader(db).emails(EmailFilter(q="confidence:>=1"))) == "c", "what is still open has none"


def test_pages_follow_each_other_without_gap_or_repetition(db, stored):
    first = Reader(db).emails(EmailFilter(), limit=3)
    second = Reader(db).emails(EmailFilter(), before=first.next, limit=3)
    assert (keys(first), keys(second), second.next) == ("dcb", "a", None)


FILTERS = (
    ({"state": "queued"}, "d"),
    ({"state": "processed"}, "cba"),
    ({"state": "dead"}, ""),
    ({"classification": "meeting"}, "a"),
    ({"min_confidence": 0.8}, "ba"),
    ({"max_confidence": 0.8}, "cb"),
    ({"decided_by": "person"}, ""),
    ({"source": "main"}, "dcba"),
    ({"source": "other"}, ""),
    ({"sender": "ana@example.org"}, "a"),
    ({"sender": "ANA"}, "ca"),
    ({"q": "plan"}, "cba"),
    ({"q": '"big plan"'}, "a"),
    ({"q": '"plan big"'}, ""),
    ({"q": "plan -savings"}, "ca"),
    ({"q": "-plan"}, "d"),
    ({"q": "cafe"}, "b"),
    ({"q": "subject:plan"}, "ca"),
    ({"q": "-subject:plan"}, "db"),
    ({"q": "plan -subject:plan"}, "b"),
    ({"q": "plan -body"}, "cba"),
    ({"q": "from:shop"}, "b"),
    ({"q": "-from:shop"}, "dca"),
    ({"q": "plan -from:ana@example.org"}, "cb"),
    ({"q": "class:unknown"}, "c"),
    ({"q": "-class:unknown"}, "dba"),
    ({"q": "plan -class:unknown -class:meeting"}, "b"),
    ({"q": "class:meeting class:unknown"}, ""),
    ({"q": "class:meeting -class:meeting"}, ""),
    ({"q": "-confidence:<0.8"}, "ba"),
    ({"q": "-confidence:>=0.8"}, "c"),
    ({"q": "before:2000-01-01"}, ""),
    ({"q": "-after:2000-01-01"}, ""),
    ({"q": "-before:2000-01-01 after:1999-01-01"}, "dcba"),
    ({"q": "after:2000-01-01 after:9000-01-01"}, ""),
    ({"q": "before:9000-01-01 -before:9000-01-01"}, ""),
    ({"q": "confidence:<0.6"}, "c"),
    ({"q": "plan confidence:>0.85"}, "a"),
    ({"q": '" OR NEAR( *'}, ""),
    ({"q": "x" * 5000}, ""),
)


def test_filters_find_what_they_say(db, stored):
    reader = Reader(db)
    for wanted, found in FILTERS:
        assert (wanted, keys(reader.emails(EmailFilter(**wanted)))) == (wanted, found)


@pytest.mark.parametrize("form", ['"{}"', 'subject:"{}"', 'from:"{}"'])
def test_of_very_many_words_the_first_are_looked_for(db, stored, form):
    known = [f"w{number}" for number in range(search.MOST_WORDS)]
    text = " ".join(known)
    db.write(write_contents, [(stored["d"], Content(text, text, sender=text))])
    Search(db).index()
    asked = form.format(f"{text} another"), form.format(f"{text.removesuffix(known[-1])} another")
    assert [keys(Reader(db).emails(EmailFilter(q=q))) for q in asked] == ["d", ""]
    assert [keys(Reader(db).emails(EmailFilter(q=f"-{q}"))) for q in asked] == ["cba", "dcba"]
    assert keys(Reader(db).emails(EmailFilter(q=asked[0], sender="w0"))) == "d"
    assert keys(Reader(db).emails(EmailFilter(q=asked[0], sender="ana"))) == ""


def test_since_and_until_bound_results_by_their_storing(db, stored):
    assert keys(Reader(db).results(EmailFilter(since=1001.0))) == "ca"
    assert keys(Reader(db).results(EmailFilter(until=1000.0))) == "b"


def test_a_text_page_says_how_far_the_index_lags(db, stored):
    assert Reader(db).emails(EmailFilter(q="plan")).lag == 0
    assert Reader(db).emails(EmailFilter()).lag is None
    ResultStore(db).save([result(stored["d"], "d")], shard="t")
    assert Reader(db).emails(EmailFilter(q="plan")).lag == 1


def test_a_changed_content_is_indexed_anew(db, stored):
    ResultStore(db).save([result(stored["d"], "d", content=Content("Zebra"))], shard="t")
    Search(db).index()
    assert keys(Reader(db).emails(EmailFilter(q="zebra"))) == "d"
    for nothing in ("💥", "zebra subject:🎉"):
        assert keys(Reader(db).emails(EmailFilter(q=nothing))) == keys(Reader(db).results(EmailFilter(q=nothing))) == ""


def test_a_content_that_changes_while_it_is_being_indexed_is_indexed_as_it_is_now(db, stored, monkeypatch):
    ResultStore(db).save([result(stored["d"], "d", content=Content("Zebra"))], shard="t")
    parts = search._parts

    def and_meanwhile(waiting):
        db.write(write_contents, [(stored["d"], Content("Giraffe"))])
        return parts(waiting)

    monkeypatch.setattr(search, "_parts", and_meanwhile)
    Search(db).index()
    assert keys(Reader(db).emails(EmailFilter(q="giraffe"))) == "d"


def test_the_timeline_tells_each_stage_in_order(db, stored):
    now = time.time()
    books = Books(db)
    (ref,) = enter(books, ["t"])
    books.postpone([attempt(ref, "t", at=now + 1)])
    times = {
        "notified": 1.0,
        "listed": now,
        "fed": now + 2,
        "fetched": now + 3,
        "taken": now + 4,
        "classified": now + 5,
    }
    ResultStore(db).save([result(ref, "t", times=times, processed_at=now + 6, attempts=1)], shard="t")
    stages = Reader(db).timeline(ref)
    expected = ["notified", "listed", "attempt 1", "queued", "fetched", "taken", "classified", "stored"]
    assert [stage.name for stage in stages] == expected
    assert stages[0].duration_ms is None
    assert stages[-1].duration_ms == pytest.approx(1000, abs=1)


def test_one_email_is_read_with_its_result(db, stored):
    item = Reader(db).email(stored["a"])
    assert item
    assert item.result
    assert (item.state, item.subject, item.result.label) == ("processed", "Project plan", "meeting")
    assert Reader(db).email(10**9) is None
