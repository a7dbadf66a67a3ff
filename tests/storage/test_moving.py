"""Moving a SQLite history to PostgreSQL: everything arrives under its name, and an interrupted move resumes."""

import time

import pytest

from engine.errors import SettingsError
from storage.books import Books
from storage.database import Database
from storage.dead_letters import DeadLetters
from storage.desired import Desired
from storage.moving import Move
from storage.records import CursorMove, Look
from storage.results import ResultStore
from storage.search import Search, lag
from storage.statements import execute
from tests.storage.books_fixtures import attempt, burial, enter, open_database, result

pytestmark = pytest.mark.postgres


@pytest.fixture
def source(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path}/laptop.db")
    yield opened
    opened.close()


@pytest.fixture
def target(postgres):
    import psycopg

    name = f"t{time.monotonic_ns()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    opened = Database(postgres.url.replace("/postgres?", f"/{name}?"))
    yield opened
    opened.close()


def fill(database, count=50):
    """Write a history with something in every state."""
    books, results = Books(database), ResultStore(database)
    main = books.open_source("main", "http://127.0.0.1:1")
    other = books.open_source("sales", "http://sales")
    ids = [f"e{number}" for number in range(count)]
    move = CursorMove(main.epoch, main.cursor, 77, ids[-1])
    new = books.enter(main, ids, Look("poll", time.time(), notified_at=1.0), lane="normal", move=move)
    refs = [ref for ref, _ in new]
    results.save([result(ref, key) for ref, key in new[: count // 2]], shard="w")
    enter(books, ids[:3], source=other)
    books.postpone([attempt(refs[-1], ids[-1])])
    DeadLetters(database).bury([burial(refs[-2], ids[-2])])
    Desired(database).set("paused", True)
    return books


def moved(source, target):
    move = Move(source, target)
    move.prepare()
    if not move.complete:
        for _ in move.copy():
            pass
        move.check()
    move.finish()
    return move


def test_everything_is_there_and_goes_on_where_it_stopped(source, target):
    books = fill(source)
    name, before = books.books_id(), books.audit()
    moved(source, target)
    there = Books(target)
    after = there.audit()
    assert (after.listed, after.results, after.queued, after.retrying, after.dead) == (
        before.listed,
        before.results,
        before.queued,
        before.retrying,
        before.dead,
    )
    assert there.source("main") == books.source("main"), "the cursor too"
    assert there.books_id() == name, "so that mailboxes and positions in Redis are believed"
    assert books.books_id() != name, "and nobody believes them for what stays behind"
    assert Desired(target).get("paused") is True
    stored, old = ResultStore(target).get("e0", "main"), ResultStore(source).get("e0", "main")
    assert stored == old
    assert ResultStore(target).stats(time.time()).total_emails_processed == before.results


def test_new_rows_get_new_numbers(source, target):
    fill(source)
    moved(source, target)
    there = Books(target)
    newest = max(row[0] for row in target.read(execute, "SELECT MAX(id) FROM book"))
    (ref,) = enter(there, ["after"])
    assert ref == newest + 1
    assert there.open_source("third", "http://third").id > 2
    ResultStore(target).save([result(ref, "after")], shard="w")


def test_the_full_text_is_queued_for_its_index(source, target):
    fill(source)
    while Search(source).index():
        pass
    moved(source, target)
    assert target.read(lag) == 25
    while Search(target).index():
        pass
    assert target.read(execute, "SELECT COUNT(*) FROM search") == [(25,)]


def test_a_move_that_was_cut_off_goes_on_and_no_server_starts_meanwhile(source, target):
    books = fill(source, 400)
    cut = Move(source, target)
    cut.prepare()
    assert not cut.complete
    steps = cut.copy()
    for _ in range(3):
        next(steps)
    with pytest.raises(SettingsError, match=r"half filled by `run\.py migrate-store`"):
        target.migrate()
    again = Move(source, target)
    again.prepare()
    assert not again.complete
    assert not again.restarted
    assert again.done() > 0
    there = again.done()
    assert sum(rows for _, rows in again.copy()) == again.total() - there
    again.check()
    again.finish()
    target.migrate()
    assert Books(target).audit().listed == books.audit().listed == 403


def test_a_source_that_changed_meanwhile_is_copied_from_the_beginning(source, target):
    books = fill(source)
    cut = Move(source, target)
    cut.prepare()
    next(cut.copy())
    enter(books, ["late"])
    again = moved(source, target)
    assert again.restarted
    assert Books(target).find("late")


def test_a_target_that_holds_other_data_is_refused_in_one_line(source, target):
    fill(source)
    other = open_database(target.driver.url)
    Books(other).books_id()
    other.close()
    with pytest.raises(
        SettingsError, match="were already moved there, or the target has others: take an empty database"
    ) as caught:
        Move(source, target).prepare()
    assert "\n" not in str(caught.value)


def test_a_kill_between_the_last_two_steps_is_made_up_for(source, target, monkeypatch):
    books = fill(source)
    name = books.books_id()
    move = Move(source, target)
    move.prepare()
    list(move.copy())

    def killed(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Books, "renew_books_id", killed)
        with pytest.raises(KeyboardInterrupt):
            move.finish()
    again = Move(source, target)
    again.prepare()
    assert again.complete
    again.finish()
    assert Books(target).books_id() == name != books.books_id()


def test_a_source_that_was_used_after_such_a_kill_is_not_taken_for_moved(source, target, monkeypatch):
    books = fill(source)
    with monkeypatch.context() as patch:
        patch.setattr(Books, "renew_books_id", lambda *_args, **_options: None)
        moved(source, target)
    enter(books, ["late"])
    with pytest.raises(SettingsError, match="the source was used since"):
        Move(source, target).prepare()


def test_a_correction_that_was_made_meanwhile_is_noticed(source, target):
    """A correction adds no row, so the counts agree."""
    fill(source)
    move = Move(source, target)
    move.prepare()
    list(move.copy())
    ResultStore(source).label("e0", "main", "intro", "anna")
    with pytest.raises(SettingsError, match="was written to in the meantime"):
        move.check()
    with pytest.raises(SettingsError, match="was written to in the meantime"):
        move.finish()


def test_a_database_of_another_program_is_refused_and_stays_as_it_is(source, target):
    fill(source)
    target.write(execute, "CREATE TABLE orders (id int)")
    with pytest.raises(SettingsError, match="not an empty database, it has a table 'orders'"):
        Move(source, target).prepare()
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
    assert target.read(execute, tables) == [("orders",)]


def test_counts_that_differ_stop_it(source, target):
    fill(source)
    move = Move(source, target)
    move.prepare()
    list(move.copy())
    target.write(execute, "DELETE FROM result WHERE id = 1")
    with pytest.raises(SettingsError, match="the counts differ: result 25 and 24"):
        move.check()
