"""Erasing a sender: in any state all content is deleted, the books balance, and nothing comes back."""

from collections.abc import Callable
from unittest.mock import Mock

import gevent
import gevent.monkey
import pytest

from storage import search
from storage.books import Books
from storage.database import Database
from storage.dead_letters import DeadLetters
from storage.drivers import PostgresDriver
from storage.erasing import Erasing
from storage.labels import correct
from storage.reading import EmailFilter, Reader
from storage.records import Content
from storage.results import ResultStore
from storage.search import Search
from storage.statements import execute
from storage.stats import stats
from tests.servers import wait_until
from tests.storage.books_fixtures import attempt, burial, enter, result
from tests.storage.conftest import empty

NativeEvent = gevent.monkey.get_original("threading", "Event")

ANNA, BOB = "Anna <anna@example.org>", "bob@example.org"


def content(sender: str) -> Content:
    return Content(subject="secret plans", body="of anna", sender=sender)


@pytest.fixture
def erasing(db) -> Erasing:
    return Erasing(db)


@pytest.fixture
def refs(db, books) -> dict[str, int]:
    """One of Anna's emails in each state that can have a text, and one of Bob's."""
    keys = ("result", "bob", "dead", "discarded", "replayed", "indexed")
    refs = dict(zip(keys, enter(books, keys), strict=True))
    store, letters = ResultStore(db), DeadLetters(db)
    store.save(
        [result(refs["result"], "result", content=content(ANNA)), result(refs["bob"], "bob", content=content(BOB))],
        shard="t",
    )
    store.save([result(refs["indexed"], "indexed", content=content("ANNA@example.org"))], shard="t")
    while Search(db).index():
        pass
    dead = [burial(refs[key], key, content=content(ANNA), error="of anna") for key in ("dead", "discarded", "replayed")]
    made = [letter for letter in letters.bury(dead) if letter]
    letters.discard(made[1].id)
    letters.replay([made[2].id])
    books.postpone([attempt(refs["replayed"], "replayed", generation=1, error="of anna")])
    return refs


def test_the_address_finds_them_in_any_case_indexed_or_not_and_nobody_elses(erasing, refs):
    assert erasing.find("Anna@Example.org") == sorted(ref for key, ref in refs.items() if key != "bob")
    assert erasing.find("nna@example.org") == []
    assert erasing.find("example.org") == []
    assert erasing.find("anna@example.org", limit=2) == sorted(refs.values())[0:3:2][:2]


def test_they_are_found_whatever_their_text_repeats(db, books, erasing):
    """As a newsletter full of links does; of each word, PostgreSQL's index keeps the first 255 places."""
    [ref] = enter(books, ["links"])
    links = Content(subject="news of example", body="https anna example org " * 500, sender=ANNA)
    ResultStore(db).save([result(ref, "links", content=links)], shard="t")
    while Search(db).index():
        pass
    assert erasing.find("anna@example.org") == [ref]
    assert [each.ref for each in Reader(db).emails(EmailFilter(q="subject:example from:anna")).items] == [ref]


def test_all_that_was_said_is_gone(db, erasing, refs):
    found = erasing.find("anna@example.org")
    assert erasing.erase(found) == 5
    ours = ", ".join(map(str, found))
    for table in ("result", "content", "attempt", "dead_letter", "unindexed"):
        assert db.read(execute, f'SELECT COUNT(*) FROM "{table}" WHERE ref IN ({ours})') == [(0,)], table
    assert db.read(execute, f"SELECT DISTINCT state, last_error FROM book WHERE id IN ({ours})") == [(4, None)]
    assert [each.key for each in Reader(db).emails(EmailFilter(q="secret")).items] == ["bob"]
    assert erasing.find("anna@example.org") == []


def test_the_books_and_the_figures_balance(db, books, erasing, refs):
    erasing.erase(erasing.find("anna@example.org"))
    audit, told = books.audit(), db.read(stats, 0.0)
    assert (audit.listed, audit.results, audit.erased) == (6, 1, 5)
    assert audit.listed == audit.results + audit.queued + audit.retrying + audit.dead + audit.discarded + audit.erased
    assert told.total_emails_processed == audit.results
    assert (told.dead_letters, told.retrying, told.queued) == (0, 0, 0)
    assert told.avg_processing_time_ms == pytest.approx(0.1)


def test_erasing_twice_is_erasing_once(books, erasing, refs):
    found = erasing.find("anna@example.org")
    erasing.erase(found)
    assert erasing.erase(found) == 0
    assert books.audit().erased == 5


def test_the_next_listing_brings_nothing_back_and_what_is_in_hand_is_not_stored(db, books, erasing, refs):
    erasing.erase(erasing.find("anna@example.org"))
    assert enter(books, list(refs)) == []
    [late] = ResultStore(db).save(
        [result(refs["replayed"], "replayed", generation=1, content=content(ANNA))], shard="t"
    )
    assert late is None
    assert DeadLetters(db).bury([burial(refs["replayed"], "replayed", generation=1, content=content(ANNA))]) == [None]
    assert db.read(execute, "SELECT COUNT(*) FROM content") == [(1,)]


@pytest.mark.postgres
def test_a_label_given_at_the_same_time_is_counted_out_as_the_label_it_became(migrated_postgres):
    db = migrated_postgres
    [ref] = enter(Books(db), ["1"])
    ResultStore(db).save([result(ref, "1", model_label="meeting", content=content(ANNA))], shard="t")
    erase_during(db, lambda: correct("1", "main", "promotion", "me"), ref)
    assert set(db.read(stats, 0.0).emails_by_classification.values()) == {0}
    db.write(empty)


@pytest.mark.postgres
def test_words_that_are_indexed_at_the_same_time_are_erased_too(migrated_postgres):
    db = migrated_postgres
    [ref] = enter(Books(db), ["1"])
    ResultStore(db).save([result(ref, "1", content=content(ANNA))], shard="t")
    erase_during(db, lambda: search._store([ref]), ref)
    assert db.read(execute, "SELECT ref FROM search") == db.read(execute, "SELECT ref FROM unindexed") == []
    db.write(empty)


def erase_during(db: Database, write: Callable[[], object], ref: int) -> None:
    """Erase an email while another transaction has done `write`; that one commits once the erasing waits for it."""
    assert isinstance(db.driver, PostgresDriver)
    other, watcher = Database(db.driver.url), Database(db.driver.url)
    written, erasing_waits = NativeEvent(), NativeEvent()

    def write_slowly():
        write()
        written.set()
        assert erasing_waits.wait(10)

    writing = gevent.spawn(db.write, write_slowly)
    wait_until(written.is_set, "the other write")
    erasing = gevent.spawn(Erasing(other).erase, [ref])
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    wait_until(lambda: bool(watcher.read(execute, waiting)), "the erasing's wait for the other write")
    erasing_waits.set()
    writing.get(timeout=10)
    assert erasing.get(timeout=10) == 1
    watcher.close()
    other.close()


def test_nothing_of_it_stays_in_the_files(tmp_path):
    db = Database(f"sqlite:///{tmp_path}/emails.db")
    db.migrate()
    keys = [f"{number}" for number in range(300)]
    refs = enter(Books(db), keys)
    theirs = Content(subject="quagga", body="zebra " * 300, sender="Okapi <okapi@example.org>")
    rows = [
        result(ref, key, content=theirs if number % 3 else content(BOB))
        for number, (ref, key) in enumerate(zip(refs, keys, strict=True))
    ]
    ResultStore(db).save(rows, shard="t")
    search, erasing, after = Search(db), Erasing(db), 0
    while search.index(256):
        pass
    while found := erasing.find("okapi@example.org", after):
        erasing.erase(found)
        after = found[-1]
    erasing.wipe()
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir()).lower()
    db.close()
    assert [word for word in (b"quagga", b"zebra", b"okapi") if word in stored] == []
    assert b"secret plans" in stored


@pytest.mark.parametrize("at_once", [True, False])
def test_the_words_of_a_single_email_do_not_stay_in_the_index(tmp_path, monkeypatch, at_once):
    """FTS5 only marks what is deleted, and keeps its words until it has reason to merge: for one of many it has none."""
    if not at_once:  # a large index takes longer than a request may: the janitor goes on
        monkeypatch.setattr("storage.erasing.WIPE_S", 0.0)
    monkeypatch.setattr(search, "PAGES_A_STEP", 2)
    db = Database(f"sqlite:///{tmp_path}/emails.db")
    db.migrate()
    keys = [f"{number}" for number in range(200)]
    refs = enter(Books(db), keys)
    theirs = Content(subject="quagga", body="zebra", sender="Okapi <okapi@example.org>")
    texts = [Content(subject=f"plan {ref}", body=f"secret {ref} " * 50, sender=BOB) for ref in refs[:-1]]
    contents = zip(refs, keys, [*texts, theirs], strict=True)
    ResultStore(db).save([result(ref, key, content=text) for ref, key, text in contents], shard="t")
    index, erasing = Search(db), Erasing(db)
    for _ in range(20):
        index.index(10)
    assert erasing.erase(erasing.find("okapi@example.org")) == 1
    erasing.wipe()
    late = Content(subject="plan", body="secret", sender=BOB)
    ((ref, key),) = zip(enter(Books(db), ["late"]), ["late"], strict=True)
    ResultStore(db).save([result(ref, key, content=late)], shard="t")
    calls = 0
    while index.index(10):  # as the janitor does
        calls += 1
    assert (calls == 1) is at_once
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir()).lower()
    found = Reader(db).emails(EmailFilter(q="secret"), limit=1000)
    db.close()
    assert [word for word in (b"quagga", b"zebra", b"okapi") if word in stored] == []
    assert len(found.items) == len(texts) + 1


def test_a_kill_before_the_pages_are_given_back_leaves_that_to_the_next_step(tmp_path, monkeypatch):
    db = Database(f"sqlite:///{tmp_path}/emails.db")
    db.migrate()
    (ref,) = enter(Books(db), ["1"])
    theirs = Content(subject="quagga", body="zebra " * 300, sender="Okapi <okapi@example.org>")
    ResultStore(db).save([result(ref, "1", content=theirs)], shard="t")
    index, erasing = Search(db), Erasing(db)
    index.index()
    erasing.erase([ref])
    with monkeypatch.context() as killed:
        killed.setattr(Database, "give_all_back", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            list(iter(index.forget, False))
    while index.index():
        pass
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir()).lower()
    db.close()
    assert [word for word in (b"quagga", b"zebra", b"okapi") if word in stored] == []
