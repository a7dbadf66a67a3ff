"""The task runner and its jobs on real stores: progress, cancel, outages, dead runners; nothing is counted twice."""

from itertools import pairwise

import gevent
import pytest
from gevent.event import Event

from actors import replaying, resync
from actors.tasks import LEASE, MOST_STARTS, TaskRunner
from engine.errors import DependencyTrouble
from engine.events import Bus
from storage.dead_letters import DeadLetters
from storage.tasks import Tasks
from tests.actors.conftest import eventually
from tests.storage.books_fixtures import burial, enter


@pytest.fixture
def tasks(database):
    return Tasks(database)


@pytest.fixture
def letters(database):
    return DeadLetters(database)


@pytest.fixture
def run(mailboxes, tasks, started):
    """Start a runner with these jobs; a second one with another token waits for the lease."""

    def start(token="one", store_of_tasks=tasks, **jobs):
        return started(
            TaskRunner,
            name="tasks",
            bus=Bus(),
            store=mailboxes,
            tasks=store_of_tasks,
            jobs=jobs,
            token=token,
            tick=0.02,
        )

    return start


def ended(tasks, task):
    eventually(lambda: tasks.get(task.id).state not in ("queued", "running"))
    return tasks.get(task.id)


def all_of(account, books):
    return {"resync": resync.resync(clients={"main": account}, books=books, bell=Event())}


def test_a_resync_enters_what_the_books_do_not_know_and_says_how_many(run, tasks, account, books, monkeypatch):
    monkeypatch.setattr(resync, "SLICE", 10)
    account.receive(*(f"m{number}" for number in range(95)))
    source = books.source("main")
    enter(books, [f"m{number}" for number in range(40)], source=source)
    run(**all_of(account, books))
    task = ended(tasks, tasks.create("resync", {"source": "main", "from": 0}))
    assert (task.state, task.done, task.total, task.counts) == ("done", 95, 95, {"recovered": 55})
    assert books.audit().listed == 95
    assert {row.key for row in books.open_rows(source.id, "low", 0, 100)} == {f"m{n}" for n in range(40, 95)}
    assert books.source("main").cursor == source.cursor


def test_a_resync_from_a_place_lists_from_there(run, tasks, account, books):
    account.receive("a", "b", "c")
    run(**all_of(account, books))
    task = ended(tasks, tasks.create("resync", {"source": "main", "from": 2}))
    assert (task.total, task.counts, account.listings) == (1, {"recovered": 1}, [2])


def test_an_outage_is_waited_out_and_fails_no_task(run, tasks, account, books):
    account.receive("a")
    account.down = True
    run(**all_of(account, books))
    made = tasks.create("resync", {"source": "main", "from": 0})
    eventually(lambda: tasks.get(made.id).state == "running")
    account.down = False
    assert ended(tasks, made).counts == {"recovered": 1}


def test_a_runner_that_dies_in_the_middle_is_followed_by_one_that_counts_on(run, tasks, account, books, monkeypatch):
    monkeypatch.setattr(resync, "SLICE", 10)
    account.receive(*(f"m{number}" for number in range(50)))
    made = tasks.create("resync", {"source": "main", "from": 0})
    claimed = tasks.claim(made.id, "dead")
    from actors.tasks import Run

    steps = all_of(account, books)["resync"](Run(tasks, claimed, "dead", lambda: None))
    for _ in range(3):  # the listing and two slices, then it is gone
        next(steps)
    assert tasks.get(made.id).counts == {"recovered": 20}
    run(**all_of(account, books))
    task = ended(tasks, made)
    assert (task.state, task.done, task.counts) == ("done", 50, {"recovered": 50})
    with pytest.raises(Exception, match="not this runner's"):
        next(steps)


def test_a_cancelled_task_stops_between_two_steps(run, tasks):
    seen = []

    def endless(run):
        while True:
            seen.append(run.task.id)
            run.advance(done=len(seen))
            yield 0.01

    run(endless=endless)
    made = tasks.create("endless", {})
    eventually(lambda: len(seen) > 3)
    tasks.cancel(made.id)
    stopped = tasks.get(made.id)
    assert stopped.state == "cancelled"
    eventually(lambda: tasks.get(made.id).updated_at == stopped.updated_at)
    count = len(seen)
    other = tasks.create("endless", {"n": 2})
    eventually(lambda: seen[-1] == other.id)
    assert seen[count + 1 :].count(made.id) == 0


def test_an_error_fails_its_task_alone(run, tasks, account, books):
    def broken(run):
        run.advance(done=1)
        yield
        raise ValueError("no")

    account.receive("a")
    run(broken=broken, **all_of(account, books))
    first, second = tasks.create("broken", {}), tasks.create("resync", {"source": "main", "from": 0})
    assert ended(tasks, second).state == "done"
    task = ended(tasks, first)
    assert (task.state, task.error, task.done) == ("failed", "ValueError: no", 1)


def test_tasks_take_turns(run, tasks):
    order = []

    def job(run):
        for number in range(3):
            order.append((run.task.params["name"], number))
            yield

    first, second = tasks.create("job", {"name": "a"}), tasks.create("job", {"name": "b"})
    run(job=job)
    ended(tasks, first)
    ended(tasks, second)
    assert order == [(name, number) for number in range(3) for name in "ab"]


def test_one_that_ends_its_runners_again_and_again_is_given_up(run, tasks):
    made = tasks.create("job", {})
    for _ in range(MOST_STARTS):
        tasks.claim(made.id, "dead")
    run(job=lambda _: iter(()))
    assert "without making progress" in ended(tasks, made).error


def test_only_the_holder_of_the_lease_works(run, tasks, mailboxes, started):
    workers = []

    def job(run):
        for _ in range(20):
            workers.append(run.runner)
            run.advance()
            yield 0.005

    first = run(job=job)
    eventually(lambda: first.proxy().leadership.get(timeout=20).leads)
    run(token="two", job=job)
    made = tasks.create("job", {})
    eventually(lambda: len(workers) > 5)
    first.stop()  # releases the lease; the other one continues
    ended(tasks, made)
    assert len(set(workers)) == 2
    changes = [a != b for a, b in pairwise(workers)]
    assert changes.count(True) == 1


def test_what_a_job_has_in_hand_outlives_a_moment_without_the_lease(run, tasks, mailboxes, monkeypatch):
    """Redis goes away between a page and its events: they are sent when it is back; the task does not start over."""
    told, went_on = [], Event()

    def job(run):
        run.advance(done=1, position=1)
        while not went_on.is_set():
            yield 0.01
        told.append("label")

    runner = run(job=job)
    made = tasks.create("job", {})
    eventually(lambda: tasks.get(made.id).done == 1)
    leadership = runner.proxy().leadership.get(timeout=20)

    def away(*_args, **_options):
        raise DependencyTrouble("away", dependency="redis")

    with monkeypatch.context() as redis:
        redis.setattr(mailboxes, "lease", away)
        eventually(lambda: not leadership.leads)
        runner.proxy().work().get(timeout=20)
    went_on.set()
    task = ended(tasks, made)
    assert (task.state, task.starts, told) == ("done", 0, ["label"])


def test_a_kind_from_a_newer_version_is_left_alone(run, tasks):
    made = tasks.create("newer", {})
    other = tasks.create("job", {})
    run(job=lambda _: iter(()))
    ended(tasks, other)
    assert tasks.get(made.id).state == "queued"


def test_a_bulk_replay_opens_what_stood_then_and_nothing_twice(run, tasks, letters, books):
    refs = enter(books, [f"m{number}" for number in range(30)], source=books.source("main"))
    letters.bury([burial(ref, f"m{number}") for number, ref in enumerate(refs)])
    letters.bury([burial(ref, "other", reason="gone") for ref in enter(books, ["other"], source=books.source("main"))])
    run(replay=replaying.replay(letters=letters, bell=Event()))
    params = {"filter": {"reason": "classifier_error"}, "below": letters.newest() + 1, "per_second": 200}
    task = ended(tasks, tasks.create("replay", params))
    assert (task.done, task.total, task.counts) == (30, 30, {"replayed": 30})
    audit = books.audit()
    assert (audit.queued, audit.dead) == (30, 1)


def test_a_bulk_replay_is_no_faster_than_asked(tasks, letters, books):
    refs = enter(books, [f"m{number}" for number in range(25)], source=books.source("main"))
    letters.bury([burial(ref, f"m{number}") for number, ref in enumerate(refs)])
    from actors.tasks import Run

    made = tasks.create("replay", {"filter": {}, "below": letters.newest() + 1, "per_second": 10})
    job = replaying.replay(letters=letters, bell=Event())(Run(tasks, tasks.claim(made.id, "me"), "me", lambda: None))
    assert list(job) == [1.0, 1.0]
    assert tasks.get(made.id).counts == {"replayed": 25}


def test_a_task_of_the_dead_is_no_reason_to_stop_when_the_database_is_away(run, tasks, monkeypatch):
    real = tasks.open
    down = [True]

    def away():
        if down[0]:
            raise DependencyTrouble("locked", dependency="database")
        return real()

    monkeypatch.setattr(tasks, "open", away)
    ref = run(job=lambda _: iter(()))
    eventually(lambda: ref.describe().state == "waiting")
    made = tasks.create("job", {})
    down[0] = False
    assert ended(tasks, made).state == "done"


def test_that_it_stood_back_does_not_end_its_trouble(run, mailboxes, database, monkeypatch, caplog):
    class Lost(Tasks):
        down = True

        def open(self):
            if self.down:
                raise DependencyTrouble("no answer", dependency="database")
            return super().open()

    caplog.set_level("INFO", logger="engine")
    monkeypatch.setattr("engine.leadership.GIVE_BACK_S", 0.1)
    lost = Lost(database)
    ref = run(store_of_tasks=lost)
    eventually(lambda: mailboxes.held(LEASE))
    eventually(lambda: not mailboxes.held(LEASE))
    gevent.sleep(0.2)
    assert (ref.describe().state, [line for line in caplog.messages if "is back" in line]) == ("waiting", [])
    lost.down = False
    eventually(lambda: ref.describe().state == "running")


def test_a_leader_to_whom_the_database_is_lost_for_long_lets_another_node_lead(
    run, mailboxes, tasks, database, account, books, monkeypatch
):
    class Lost(Tasks):
        def open(self):
            raise DependencyTrouble("no answer", dependency="database")

    monkeypatch.setattr("engine.leadership.GIVE_BACK_S", 0.1)
    run(token="broken", store_of_tasks=Lost(database))
    eventually(lambda: mailboxes.held(LEASE))
    account.receive("a")
    made = tasks.create("resync", {"source": "main", "from": 0})
    run(token="well", **all_of(account, books))
    assert ended(tasks, made).counts == {"recovered": 1}
