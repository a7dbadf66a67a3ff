"""The janitor prunes what has expired, including events, a few slices per turn; what is kept for ever stays."""

import time

from actors.events import encode_event
from actors.pruning import Pruning
from engine.events import Bus
from storage.retention import Keep, Retention
from storage.statements import execute
from tests.storage.books_fixtures import attempt, enter


def test_a_turn_forgets_what_is_due_and_counts_it(books, database, mailboxes):
    [ref] = enter(books, ["a"], source=books.source("main"))
    books.postpone([attempt(ref, "a", at=1.0, next_at=2.0)])
    told = []
    bus = Bus()
    bus.subscribe(lambda name, fields: told.append((name, fields)))
    pruning = Pruning(Retention(database), mailboxes, Keep(attempts=1), bus)
    assert pruning.turn(lambda: None) == {"attempts": 1}
    assert told == [("pruned", {"kind": "attempts", "count": 1})]
    assert database.read(execute, "SELECT COUNT(*) FROM attempt") == [(0,)]


def test_events_are_forgotten_but_the_newest_and_a_place_before_them_is_a_gap(database, mailboxes):
    for number in range(5):
        mailboxes.tell([encode_event("process", {"email_id": str(number)}, 1.0)])
    first = mailboxes.read_log("", count=1).entries[0].seq
    pruning = Pruning(Retention(database), mailboxes, Keep(events=1), Bus())
    assert pruning.turn(lambda: None) == {"events": 0}
    gone = mailboxes.forget_events(time.time() + 60, 100)
    assert gone == 5  # the marker of the log's beginning, and four of five
    page = mailboxes.read_log(first, count=10)
    assert (page.gap, len(page.entries)) == ("trimmed", 1)
    assert mailboxes.forget_events(time.time() + 60, 100) == 0


def test_what_is_kept_for_ever_is_not_looked_at(database, mailboxes):
    assert Pruning(Retention(database), mailboxes, Keep(), Bus()).turn(lambda: None) == {}
