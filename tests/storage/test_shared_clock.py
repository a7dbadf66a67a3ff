"""Times that nodes compare come from the shared clock; here the machine's own clock is an hour ahead of it."""

import time

import pytest

from engine import clock
from storage.books import Books
from storage.corrections import Corrections
from storage.model_files import ModelStore
from storage.results import ResultStore
from storage.tasks import Tasks
from tests.storage.books_fixtures import enter, result

HOUR = 3600.0


@pytest.fixture(autouse=True)
def ahead(monkeypatch):
    monkeypatch.setattr("engine.clock._shared.offset", clock._shared.offset - HOUR)


def shared(at: float | None) -> bool:
    return at is not None and abs(at - (time.time() - HOUR)) < HOUR / 2


def test_a_task_is_old_by_it(db):
    tasks = Tasks(db)
    made = tasks.create("resync", {})
    tasks.claim(made.id, "me")
    tasks.finish(made.id, "me")
    ended = tasks.get(made.id)
    assert ended is not None
    assert all(shared(at) for at in (ended.created_at, ended.started_at, ended.updated_at, ended.ended_at))
    assert tasks.prune(time.time() - HOUR / 2) == 1


def test_the_newest_correction_is_so_by_it(db):
    [ref] = enter(Books(db), ["a"])
    results = ResultStore(db)
    results.save([result(ref, "a")], shard="t")
    results.label("a", "main", "intro", by="somebody")
    count, newest = Corrections(db).stamp()
    assert (count, shared(newest)) == (1, True)


def test_the_newest_model_is_so_by_it(db):
    models = ModelStore(db)
    models.add("v1", b"", origin="packaged")
    [model] = models.all()
    assert shared(model.created_at)
