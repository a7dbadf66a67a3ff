"""A newer program's extra columns do not disturb this one, since it names the columns that it reads and writes."""

import time

import pytest

from engine.mailbox import LANES
from storage.books import Books
from storage.dead_letters import DeadLetters
from storage.desired import Desired
from storage.models import MODELS
from storage.notifications import Notifications
from storage.reading import Reader
from storage.records import Look, Notification
from storage.results import ResultStore
from storage.statements import execute
from storage.tasks import Tasks
from tests.storage.books_fixtures import attempt, burial, enter, open_database, result, save


@pytest.fixture
def newer(database_url):
    """A database to whose tables a newer program has added columns, as additive steps do."""
    database = open_database(database_url)

    def add() -> None:
        for model in MODELS:
            table = model._meta.table_name
            execute(f'ALTER TABLE "{table}" ADD COLUMN colour TEXT')
            execute(f'ALTER TABLE "{table}" ADD COLUMN weight BIGINT NOT NULL DEFAULT 7')

    database.write(add)
    yield database
    database.close()


def test_the_whole_way_of_an_email_works_beside_unknown_columns(newer):
    books, results, letters = Books(newer), ResultStore(newer), DeadLetters(newer)
    refs = enter(books, ["a", "b", "c", "d"])
    source = books.source("main")
    assert len(books.open_rows(source.id, LANES[1], 0, 10)) == 4
    (stored,) = save(results, result(refs[0], "a"))
    assert stored is not None
    books.postpone([attempt(refs[1], "b", next_at=time.time() - 1)])
    assert books.due(time.time(), 10) == 1
    assert letters.bury([burial(refs[2], "c")])[0] is not None
    audit = books.audit()
    assert (audit.listed, audit.results, audit.queued, audit.dead) == (4, 1, 2, 1)
    assert results.stats(time.time()).total_emails_processed == 1
    look = Look("notification", time.time(), history_id=3)
    Notifications(newer).note(source.id, [Notification(time.time(), 3, "m", "listed", look.id or None)])
    assert Reader(newer).notifications(limit=5).items
    assert Desired(newer).set("paused", True) == 1
    assert Tasks(newer).create("resync", {"source": "main", "from": 0}).state == "queued"
