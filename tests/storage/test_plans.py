"""The cost of each statement with millions of emails: no SQLite plan scans a whole table or index."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from storage import search
from storage.books import Books
from storage.database import Database
from storage.dead_letters import DeadLetters
from storage.erasing import Erasing
from storage.notifications import Notifications
from storage.query import parse
from storage.reading import Reader
from storage.records import Attempt, CursorMove, Look, Notification
from storage.results import ResultStore
from storage.search import RARE, Search
from storage.statements import execute
from tests.storage.books_fixtures import URL, attempt, burial, enter, open_database, result

WALK = re.compile(r"SCAN (book|result|content|dead_letter|attempt|look)\b|.*book_state \(state=\?\)")
"""Scanning all rows of one state is as bad: a first sync has a million open ones."""

COUNTS = "SELECT state, COUNT(*) FROM book GROUP BY state"
"""The audit counts the books on purpose, with a covering index."""


@pytest.fixture
def seen() -> set[str]:
    """The statements that ran on `db`."""
    return set()


@pytest.fixture
def db(tmp_path, seen) -> Iterator[Database]:
    """A database whose statements are noted."""
    open_database(f"sqlite:///{tmp_path}/emails.db").close()
    db = Database(f"sqlite:///{tmp_path}/emails.db")
    make = db.driver.peewee

    def watched(**options):
        made = make(**options)
        made.query_hooks.append(lambda event: seen.add(event.sql))
        return made

    db.driver.peewee = watched  # type: ignore[method-assign]  # to hear what is run
    yield db
    db.close()


def a_day(db) -> None:
    books, store, letters, notes = Books(db), ResultStore(db), DeadLetters(db), Notifications(db)
    source = books.open_source("main", URL)
    look = Look("notification", time.time())
    refs = [ref for ref, _ in books.enter(source, list("abcdef"), look, lane="normal", move=CursorMove(0, 0, 5, "f"))]
    enter(books, ["a", "x" * 600])
    books.finish_poll(source, began=time.time(), overlap=0)
    books.open_rows(source.id, "normal", 0, 10)
    books.refeed(books.suspects(source.id, "normal", 99, 0, 10))
    failed: list[Attempt] = [attempt(refs[0], "a", next_at=1.0)]
    books.postpone(failed)
    books.postpone(failed)
    books.due(2.0, 10)
    batch = [result(refs[1], "b"), result(refs[2], "c")]
    store.save(batch, shard="w")
    store.save(batch, shard="w")
    store.label("b", "main", "intro", by="ann")
    store.get("b", "main")
    store.content(refs[1])
    store.stats(time.time())
    store.timeseries(0, 60, "minute")
    burials = [burial(refs[3], "d"), burial(refs[4], "e")]
    first, second = letters.bury(burials)
    letters.bury(burials)
    letters.page(reason="gone", source="main", since=0, until=1, email="d")
    letters.page(email="d")
    letters.groups()
    letters.attempts_of(refs[0], 0)
    assert first is not None
    assert second is not None
    letters.replay([first.id])
    letters.discard(second.id)
    notes.note(source.id, [Notification(1.0, 5, look=look.id)])
    Reader(db).notifications(source="main")
    books.fold(["w"], time.time())
    books.forget_histograms(time.time())
    books.audit()
    books.find("a")


def test_no_statement_walks_a_table_of_emails(db, seen):
    a_day(db)
    planned = [sql for sql in seen if re.match(r"(?i)(with|select|update|insert|delete)\b", sql) and sql != COUNTS]
    assert len(planned) > 40
    for sql in sorted(planned):
        plan = plan_of(db, sql)
        walks = [line for *_, line in plan if WALK.match(line)]
        assert not walks, f"{sql}\n{plan}"
        for _, parent, _, line in plan:
            if "json_each" in line:
                first = next(other for _, level, _, other in plan if level == parent)
                assert first == line, f"the batch is walked for each row:\n{sql}\n{plan}"


def test_a_sender_whose_words_most_emails_have_is_looked_for_in_one_walk_of_the_index(db, seen):
    """Asking the index about each email apart took three minutes for 200,000 emails."""
    keys = [str(number) for number in range(RARE + 1)]
    ResultStore(db).save([result(ref, key) for ref, key in zip(enter(Books(db), keys), keys, strict=True)], shard="w")
    while Search(db).index():
        pass
    seen.clear()
    assert Erasing(db).find("example.org") == []
    plans = [" / ".join(line for *_, line in plan_of(db, sql)) for sql in sorted(seen) if " content.sender " in sql]
    assert any(plan.startswith("SCAN search VIRTUAL TABLE") for plan in plans), plans
    assert not any("CORRELATED" in plan for plan in plans), plans


@pytest.mark.postgres
def test_postgresql_does_not_turn_few_matches_into_a_test_of_each_email(migrated_postgres):
    def plan() -> list[str]:
        (condition,), params = search.condition(parse("from:ann"), "result.ref")
        sql = f"EXPLAIN SELECT id FROM result WHERE {condition} ORDER BY id DESC LIMIT 21"
        return [line for (line,) in execute(sql, params)]

    lines = migrated_postgres.read(plan)
    apart = next(number for number, line in enumerate(lines) if "InitPlan" in line)
    assert not [line for line in lines[:apart] if "search" in line], lines


def plan_of(db: Database, sql: str) -> list[tuple[Any, ...]]:
    return db.read(execute, f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))
