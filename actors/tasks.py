"""Runs the tasks that people start, step by step, on one node at a time; progress survives restarts.

The web writes a row (storage/tasks.py). The front that holds the lease takes all open tasks and gives each a step in
turn, so that a short task need not wait for a long one. A job is a generator (see `Job`). The runner waits out a
dependency's trouble; any other error ends the task.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from engine import clock
from engine.actor import ServiceActor
from engine.backoff import backoff
from engine.errors import DependencyTrouble, StaleError
from engine.events import Bus
from engine.leadership import TTL_S, Leadership
from engine.mailbox import MailboxStore
from storage.tasks import Step, Task, Tasks, advance

log = logging.getLogger(__name__)

T = TypeVar("T")

LEASE = "tasks"
MOST_STARTS = 20
"""A task whose runners ended this many times in a row without progress is given up: it must not take processes down for
ever."""

KEPT_S = 30 * 86_400.0


class Run:
    """A task as its job sees it. A job calls `goes_on` during a long step to show that it is not hung."""

    def __init__(self, tasks: Tasks, task: Task, runner: str, goes_on: Callable[[], None]) -> None:
        self.tasks, self.task, self.runner, self.goes_on = tasks, task, runner, goes_on

    def advance(
        self, *, done: int | None = None, total: int | None = None, position: object = None, **counts: int
    ) -> None:
        """Write the progress.

        Raises StaleError, which the job lets through, if the task was cancelled or taken over.
        """
        self.tasks.advance(self.task.id, self.runner, Step(done, total, position, counts))

    def counted(
        self, counts: Callable[[T], Mapping[str, int]], *, done: int, position: object = None
    ) -> Callable[[T], None]:
        """Return a callback for a store to call inside its transaction: counts and progress commit with its work."""

        def also(did: T) -> None:
            advance(self.task.id, self.runner, Step(done, None, position, counts(did)))

        return also


Job = Callable[[Run], Iterator[float | None]]
"""A generator of small steps, each at most about a second. After each it yields None or the seconds to wait before the
next.

It starts at `run.task.position`, and is restarted there after a restart of the process or a dependency's trouble, so
every step may run twice. What it writes and counts in one transaction (storage.tasks.advance) stays exact all the same.
Returning means that the task is done, raising that it failed.
"""


class TaskRunner(ServiceActor):
    """Runs once in each front. `jobs` maps a task's kind to its job."""

    def __init__(
        self,
        *,
        name: str,
        bus: Bus,
        store: MailboxStore,
        tasks: Tasks,
        jobs: Mapping[str, Job],
        token: str,
        tick: float = 0.5,
    ) -> None:
        super().__init__(name=name, kind="tasks", bus=bus, deadline=180.0)
        self.tasks, self.jobs, self.tick = tasks, jobs, tick
        self.runner = secrets.token_hex(8)
        self.leadership = Leadership(store, LEASE, token)
        self.taken: set[int] = set()
        self.jobs_begun: dict[int, Iterator[float | None]] = {}
        self.not_before: dict[int, float] = {}
        self.troubles: dict[int, int] = {}

    def on_start(self) -> None:
        """Campaign for the lease, and run tasks."""
        self.spawn(self.leadership.campaign)
        self.every(self.tick, self.work)
        self.every(3600.0, lambda: self.tasks.prune(clock.now() - KEPT_S))

    def on_stop(self) -> None:
        """Give up the lease so that another node can go on at once."""
        self.leadership.give_up()

    def work(self) -> None:
        """Give each open task a step in turn, until all of them wait or have ended.

        After a gap in leadership, jobs go on where they were rather than lose their progress: if another runner has
        taken a task meanwhile, its next step here is refused.
        """
        if self.card.waits_for and not self.leadership.leads:
            self.tasks.open()  # this runner stood back, which does not mean that its trouble is over
        while self.leadership.leads and not self.stop_asked.is_set():
            found = self._open()
            self._forget({task.id for task in found})
            now = time.monotonic()
            ready = [task for task in found if self.not_before.get(task.id, 0.0) <= now]
            if not ready:
                return
            for task in ready:
                self._step(task)
                self.breathe()

    def _open(self) -> list[Task]:
        """Return the open tasks. If the database does not answer, another node may still reach it and should lead."""
        try:
            found = self.tasks.open()
        except DependencyTrouble:
            self.leadership.failed()
            raise
        self.leadership.went_well()
        return found

    def _forget(self, still_open: set[int]) -> None:
        self.taken &= still_open
        self.jobs_begun = {key: job for key, job in self.jobs_begun.items() if key in still_open}
        self.not_before = {key: at for key, at in self.not_before.items() if key in still_open}
        self.troubles = {key: count for key, count in self.troubles.items() if key in still_open}

    def _step(self, task: Task) -> None:
        """Run one step. An error concerns this task only; the others go on."""
        try:
            pause = self._next(task)
        except StopIteration:
            self._conclude(task, None)
        except StaleError:
            self._drop(task, wait=TTL_S)
            self.taken.discard(task.id)
        except DependencyTrouble as trouble:
            self.troubles[task.id] = self.troubles.get(task.id, 0) + 1
            self._drop(task, max(trouble.retry_after or 0.0, backoff(self.troubles[task.id], base=0.2, cap=3.0)))
            log.info("task %d (%s) waits for %s: %s", task.id, task.kind, trouble.dependency, trouble)
        except Exception as error:
            log.exception("task %d (%s) failed", task.id, task.kind)
            self._conclude(task, f"{type(error).__name__}: {error}")
        else:
            self.count(1)
            self.troubles.pop(task.id, None)
            self.not_before[task.id] = time.monotonic() + (pause or 0.0)

    def _next(self, task: Task) -> float | None:
        if task.id not in self.jobs_begun:
            self.jobs_begun[task.id] = self._begin_job(task)
        return next(self.jobs_begun[task.id])

    def _begin_job(self, task: Task) -> Iterator[float | None]:
        """Start a job, claiming the task first unless it is ours already and only waited for a dependency."""
        if task.kind not in self.jobs:
            raise StaleError(f"task {task.id} is of a kind that this version does not know")
        if task.id not in self.taken:
            claimed = self.tasks.claim(task.id, self.runner)
            if claimed is None:
                raise StaleError(f"task {task.id} has ended")
            if task.starts >= MOST_STARTS:
                raise RuntimeError(f"it was started {task.starts} times without making progress")
            self.taken.add(task.id)
            task = claimed
            log.info("task %d (%s) begins, %d done", task.id, task.kind, task.done)
        return self.jobs[task.kind](Run(self.tasks, task, self.runner, self.goes_on))

    def _drop(self, task: Task, wait: float) -> None:
        self.jobs_begun.pop(task.id, None)
        self.not_before[task.id] = time.monotonic() + wait

    def _conclude(self, task: Task, error: str | None) -> None:
        self._drop(task, 0.0)
        if self.tasks.finish(task.id, self.runner, error):
            log.info("task %d (%s) %s", task.id, task.kind, "is done" if error is None else f"failed: {error}")
