"""Tasks in SQL: one owner at a time, exact counts, and cancellation that takes effect at once."""

import pytest

from engine.errors import StaleError
from storage.statements import execute
from storage.tasks import Step, Tasks, advance


@pytest.fixture
def tasks(db):
    return Tasks(db)


def test_a_task_goes_from_queued_over_running_to_done(tasks):
    made = tasks.create("resync", {"source": "main", "from": 0})
    assert (made.state, made.done, made.total, made.counts, made.position) == ("queued", 0, None, {}, None)
    assert tasks.claim(made.id, "me").state == "running"
    tasks.advance(made.id, "me", Step(done=2, total=5, position=[2, "b"], counts={"recovered": 1}))
    tasks.advance(made.id, "me", Step(done=5, counts={"recovered": 2}))
    assert tasks.finish(made.id, "me")
    ended = tasks.get(made.id)
    assert (ended.state, ended.done, ended.total, ended.position) == ("done", 5, 5, [2, "b"])
    assert ended.counts == {"recovered": 3}
    assert ended.ended_at >= ended.started_at >= ended.created_at


def test_the_same_task_asked_for_again_is_the_one_that_runs(tasks):
    first = tasks.create("resync", {"source": "main", "from": 0})
    assert tasks.create("resync", {"from": 0, "source": "main"}).id == first.id
    assert tasks.create("resync", {"source": "main", "from": 7}).id != first.id
    tasks.cancel(first.id)
    assert tasks.create("resync", {"source": "main", "from": 0}).id != first.id


def test_whoever_claimed_it_last_is_the_only_one_to_write(tasks):
    made = tasks.create("resync", {})
    tasks.claim(made.id, "old")
    tasks.claim(made.id, "new")
    with pytest.raises(StaleError):
        tasks.advance(made.id, "old", Step(done=1))
    assert not tasks.finish(made.id, "old")
    tasks.advance(made.id, "new", Step(done=1))
    assert tasks.get(made.id).done == 1


def test_a_cancelled_task_takes_no_step_and_stays_cancelled(tasks):
    made = tasks.create("resync", {})
    tasks.claim(made.id, "me")
    assert tasks.cancel(made.id).state == "cancelled"
    with pytest.raises(StaleError):
        tasks.advance(made.id, "me", Step(done=1))
    assert not tasks.finish(made.id, "me")
    assert tasks.claim(made.id, "me") is None
    assert tasks.get(made.id).state == "cancelled"
    assert tasks.open() == []


def test_a_step_that_is_refused_undoes_the_work_of_its_transaction(tasks, db):
    made = tasks.create("resync", {})

    def work():
        execute("INSERT INTO meta (name, value) VALUES ('work', 'done')")
        advance(made.id, "nobody", Step(done=1))

    with pytest.raises(StaleError):
        db.write(work)
    assert db.read(execute, "SELECT 1 FROM meta WHERE name = 'work'") == []


def test_starts_are_counted_until_it_gets_on(tasks):
    made = tasks.create("resync", {})
    assert [tasks.claim(made.id, "me").starts for _ in range(2)] == [1, 2]
    tasks.advance(made.id, "me", Step(done=0, total=7))
    assert tasks.claim(made.id, "me").starts == 3
    tasks.advance(made.id, "me", Step(done=4))
    assert tasks.get(made.id).starts == 0
    assert tasks.claim(made.id, "me").starts == 1
    tasks.advance(made.id, "me", Step(done=2, counts={"recovered": 0}))  # restarted, and not yet back where it was
    assert (tasks.get(made.id).starts, tasks.get(made.id).done) == (1, 4)


def test_pages_are_newest_first_and_old_ones_are_forgotten(tasks):
    ids = [tasks.create("resync", {"from": number}).id for number in range(5)]
    page, following = tasks.page(None, 3)
    assert [each.id for each in page] == ids[:1:-1]
    rest, end = tasks.page(following, 3)
    assert ([each.id for each in rest], end) == (ids[1::-1], None)
    tasks.cancel(ids[0])
    assert tasks.prune(2**40) == 1
    assert tasks.get(ids[0]) is None
