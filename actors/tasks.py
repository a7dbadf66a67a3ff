"""Runs the tasks that people asked for, step by step, on one node at a time; what was done survives restarts.

The web writes a row (storage/tasks.py); the front that holds the lease takes up all open ones and gives each a step in turn, so that a
short task need not wait for a long one. A job is a generator: see `Job`. Trouble of a dependency is waited out; an error ends the task.
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
"""A task that ended so many runners in a row without getting on is given up: it must not take the process down for ever."""

KEPT_S = 30 * 86_400.0


class Run:
    """A task in the hands of its runner, as its job sees it. `goes_on` tells, in a step that takes long, that it is not hung."""

    def __init__(self, tasks: Tasks, task: Task, runner: str, goes_on: Callable[[], None]) -> None:
        self.tasks, self.task, self.runner, self.goes_on = tasks, task, runner, goes_on

    def advance(
        self, *, done: int | None = None, total: int | None = None, position: object = None, **counts: int
    ) -> None:
        """Write how far it has come; StaleError, which the job lets through, when it was cancelled."""
        self.tasks.advance(self.task.id, self.runner, Step(done, total, position, counts))

    def counted(
        self, counts: Callable[[T], Mapping[str, int]], *, done: int, position: object = None
    ) -> Callable[[T], None]:
        """What a store calls inside its transaction with what it did: that is counted, and how far it has come written, in the same one."""

        def also(did: T) -> None:
            advance(self.task.id, self.runner, Step(done, None, position, counts(did)))

        return also


Job = Callable[[Run], Iterator[float | None]]
"""A generator of small steps, each at most a second or so. It yields after each of them, None or the seconds to wait before the next one.

It begins at `run.task.position`, and is begun again there after a restart or a dependency's trouble: every step may happen twice. What it
writes and counts in one transaction (storage.tasks.advance) is exact all the same. Returning means done, raising that the task failed.
"""


class TaskRunner(ServiceActor):
    """One for each front; `jobs` by the kind of their tasks."""

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
        """Campaign for the lease, and work."""
        self.spawn(self.leadership.campaign)
        self.every(self.tick, self.work)
        self.every(3600.0, lambda: self.tasks.prune(clock.now() - KEPT_S))

    def on_stop(self) -> None:
        """Let another node go on at once."""
        self.leadership.give_up()

    def work(self) -> None:
        """A step of each open task in turn, until all of them wait or have ended.

        Where we did not lead for a while we go on where we were: what a job has in hand would be lost, and each of its steps is refused
        where another runner has taken the task meanwhile.
        """
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
        """What there is to do. A database that gives no answer may be well to another node."""
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
        """What goes wrong here is that task's alone: the others go on."""
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
        """A task that is new to us becomes ours; one that only waited for a dependency is ours already."""
        if task.kind not in self.jobs:
            raise StaleError(f"task {task.id} is of a kind that this version does not know")
        if task.id not in self.taken:
            claimed = self.tasks.claim(task.id, self.runner)
            if claimed is None:
                raise StaleError(f"task {task.id} has ended")
            if task.starts >= MOST_STARTS:
                raise RuntimeError(f"it was begun {task.starts} times and never got on")
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
