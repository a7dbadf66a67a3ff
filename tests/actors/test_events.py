"""The event for a result is the same before and after it is stored."""

from actors.events import process_event
from storage.books import Books
from storage.records import Content
from storage.results import ResultStore
from tests.storage.books_fixtures import enter, open_database, result


def test_a_new_result_is_told_as_the_stored_one_is(tmp_path):
    db = open_database(f"sqlite:///{tmp_path}/books.db")
    try:
        books, store = Books(db), ResultStore(db)
        changes = (
            {"confidence": 0.123456, "runner_up": "intro"},
            {"rule_id": 4, "rule_label": "promotion"},
            {"below_threshold": True, "content": Content("n\x00l \ud83d", sender="\ud800 <a@b>", truncated=True)},
        )
        keys = [f"email-{number}" for number in range(len(changes))]
        rows = [result(ref, key, **change) for ref, key, change in zip(enter(books, keys), keys, changes, strict=True)]
        told = [process_event(each) for each in rows]
        assert store.save(rows, shard="t") == rows
        assert told == [process_event(stored) for key in keys if (stored := store.get(key, "main"))]
    finally:
        db.close()
