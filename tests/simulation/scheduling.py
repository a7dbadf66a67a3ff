"""Tasks that stop before every significant step, so that a seed decides which one runs next and what happens to it.

A task is a plain greenlet; its process's calls to the mailboxes, the database and FakeMail go through `Gate`, which
yields to the scheduler and learns from it the fate of the call. Nothing here waits: time is a number (`Clock`).
"""

from collections.abc import Callable
from typing import Any

import gevent
from greenlet import greenlet

from engine.errors import DependencyTrouble

GO, FAILS, LOST = "go", "fails", "lost"
"""The fate of a call: it works; it fails without any effect; it takes effect, and its answer is lost."""

CALL, END = "call", "end"
"""Where a task stops: before a call, or at the end of a step."""


class Clock:
    """Replaces the module `time` in the modules under simulation."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def time(self) -> float:
        return self.now

    monotonic = perf_counter = time

    def clock_gettime(self, _clock: int) -> float:
        return self.now

    def sleep(self, _seconds: float) -> None:
        """Do not sleep."""


class Killed(BaseException):
    """Raised in a task whose process is dead, so that nothing it still tries has an effect."""


class Task:
    """One greenlet of a process, which repeats `step`. `resume` runs it up to its next call."""

    def __init__(self, life: "Life", step: Callable[[], object]) -> None:
        self.life = life
        self._greenlet = greenlet(self._run)
        self._step = step

    def _run(self, _first: str) -> None:
        while True:
            self._step()
            pause(END)

    def resume(self, fate: str) -> bool:
        """Run to the next call; return True if the step has ended."""
        return bool(self._greenlet.switch(fate) == END)

    def drop(self) -> None:
        if self._greenlet and not self._greenlet.dead and self._greenlet is not gevent.getcurrent():
            self._greenlet.throw(Killed)


class Life:
    """One incarnation of a process, and the tasks in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.frozen_since: float | None = None
        self.tasks: list[Task] = []

    def add(self, step: Callable[[], object]) -> None:
        self.tasks.append(Task(self, step))

    def kill(self) -> None:
        """From now on nothing that the process does has an effect."""
        self.dead = True
        for task in self.tasks:
            try:
                task.drop()
            except Killed:
                continue


def pause(where: str = CALL) -> str:
    """Yield to the scheduler; return the fate of the next call."""
    parent = gevent.getcurrent().parent
    assert parent is not None
    fate: str = parent.switch(where)
    return fate


class Gate:
    """Wraps a store, a database or a client for one process: each call is a step, and may fail."""

    def __init__(self, inner: Any, life: Life, dependency: str) -> None:
        self._inner, self._life, self._dependency = inner, life, dependency

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._guarded(name, found) if callable(found) else found

    def _guarded(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            fate = self._fate()
            if fate == FAILS:
                raise DependencyTrouble(f"no {name}", dependency=self._dependency)
            answer = method(*args, **kwargs)
            if fate == LOST:
                raise DependencyTrouble(f"the answer of {name} was lost", dependency=self._dependency)
            return answer

        return call

    def _fate(self) -> str:
        if self._life.dead:
            raise Killed
        fate = pause()
        if self._life.dead:
            raise Killed
        return fate


class Lock:
    """Replaces a lock between the tasks of one process: a task that finds it taken tries again at its next turn."""

    def __init__(self) -> None:
        self._taken = False

    def __enter__(self) -> None:
        while self._taken:
            pause(END)
        self._taken = True

    def __exit__(self, *_: object) -> None:
        self._taken = False


class Bell:
    """Replaces gevent's Event where a pump, a feeder or an actor waits: the scheduler decides when the wait is over."""

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        self._set = True

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def wait(self, _seconds: float | None = None) -> bool:
        if not self._set:
            pause(END)
        return self._set
