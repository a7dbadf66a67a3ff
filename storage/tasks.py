"""Long-running tasks requested by users (resync, bulk replay, reprocessing), each a row with progress and position.

The web creates and cancels them; the runner in actors/tasks.py executes them. A running task belongs to one runner,
whose random name guards every step. A `Step` may be written in the transaction of the work itself, so that its counts
stay exact if the process is killed.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from engine import clock
from engine.errors import StaleError
from engine.outcome import error_text
from storage.database import Database
from storage.rows import one_page
from storage.statements import encode_json, execute, for_update

COLUMNS = "id, kind, params, state, position, done, total, counts, error, starts, created_at, started_at, ended_at, updated_at"


class Task(msgspec.Struct, frozen=True):
    """One task. `state` is queued, running, done, failed or cancelled; `counts` holds its outcomes by name."""

    id: int
    kind: str
    params: dict[str, Any]
    state: str
    position: Any  # where the job resumes after a restart; None: from the beginning
    done: int
    total: int | None  # None: not known yet
    counts: dict[str, int]
    error: str | None
    starts: int  # how often it was claimed since it last made progress
    created_at: float
    started_at: float | None
    ended_at: float | None
    updated_at: float


class Step(msgspec.Struct, frozen=True):
    """A task's progress: None leaves a field unchanged; `counts` are added."""

    done: int | None = None  # never falls: a restarted job makes progress once it passes the earlier value
    total: int | None = None
    position: Any = None
    counts: Mapping[str, int] = {}


class Tasks:
    """The tasks of one system."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def create(self, kind: str, params: Mapping[str, Any]) -> Task:
        """Create a task, or return the unfinished one with the same kind and params."""
        return self._db.write(_create, kind, encode_json(dict(sorted(params.items()))).decode())

    def get(self, task_id: int) -> Task | None:
        """Return one task, or None."""
        return self._db.read(_get, task_id)

    def page(self, before: int | None, limit: int) -> tuple[list[Task], int | None]:
        """Return the tasks with ids below `before`, newest first, and the next page's `before`, if any."""
        return self._db.read(_page, before, limit)

    def open(self) -> list[Task]:
        """Return the tasks that have not ended, oldest first."""
        return self._db.read(_open)

    def cancel(self, task_id: int) -> Task | None:
        """End a task at once, keeping what it has done; return it, or None. One that has ended is left as it is."""
        self._db.write(_end, task_id, None, "cancelled", None)
        return self.get(task_id)

    def claim(self, task_id: int, runner: str) -> Task | None:
        """Assign a task to this runner, taking it from any other; return None if it has ended."""
        return self._db.write(_claim, task_id, runner)

    def advance(self, task_id: int, runner: str, step: Step) -> None:
        """Write a step; raises StaleError if the task was cancelled or belongs to another runner by now."""
        self._db.write(advance, task_id, runner, step)

    def finish(self, task_id: int, runner: str, error: str | None = None) -> bool:
        """End a task as done, or as failed with `error`; return False if it is not this runner's any more."""
        return self._db.write(_end, task_id, runner, "done" if error is None else "failed", error)

    def prune(self, before: float) -> int:
        """Delete the tasks that ended before a time; return how many."""
        return self._db.write(_prune, before)


def advance(task_id: int, runner: str, step: Step) -> None:
    """Write a step inside a transaction of Database.write.

    Raises StaleError if the task is not this runner's, so that the transaction writes nothing.
    """
    rows = execute(
        f"SELECT counts, done FROM task WHERE id = ? AND state = 'running' AND runner = ? {for_update()}",
        [task_id, runner],
    )
    if not rows:
        raise StaleError(f"task {task_id} is not this runner's any more")
    before, so_far = rows[0]
    counts = msgspec.json.decode(before, type=dict[str, int])
    done = max(so_far, step.done or 0)
    for name, count in step.counts.items():
        counts[name] = counts.get(name, 0) + count
    position = None if step.position is None else encode_json(step.position).decode()
    execute(
        "UPDATE task SET done = ?, total = COALESCE(?, total), position = COALESCE(?, position), "
        "counts = ?, starts = CASE WHEN ? THEN 0 ELSE starts END, updated_at = ? WHERE id = ?",
        [done, step.total, position, encode_json(counts).decode(), done > so_far, clock.now(), task_id],
    )


def _create(kind: str, params: str) -> Task:
    same = execute(
        "SELECT id FROM task WHERE kind = ? AND params = ? AND state IN ('queued', 'running') ORDER BY id LIMIT 1",
        [kind, params],
    )
    now = clock.now()
    made = same or execute(
        "INSERT INTO task (kind, params, state, done, counts, starts, created_at, updated_at) "
        "VALUES (?, ?, 'queued', 0, '{}', 0, ?, ?) RETURNING id",
        [kind, params, now, now],
    )
    found = _get(made[0][0])
    assert found is not None
    return found


def _get(task_id: int) -> Task | None:
    rows = execute(f"SELECT {COLUMNS} FROM task WHERE id = ?", [task_id])
    return _task(rows[0]) if rows else None


def _page(before: int | None, limit: int) -> tuple[list[Task], int | None]:
    below = 2**62 if before is None else before
    rows = execute(
        f"SELECT {COLUMNS} FROM task WHERE id < ? ORDER BY id DESC LIMIT ?",
        [below, limit + 1],
    )
    return one_page([_task(row) for row in rows], limit)


def _open() -> list[Task]:
    sql = f"SELECT {COLUMNS} FROM task WHERE state IN ('queued', 'running') ORDER BY id"
    return [_task(row) for row in execute(sql)]


def _claim(task_id: int, runner: str) -> Task | None:
    now = clock.now()
    claimed = execute(
        "UPDATE task SET state = 'running', runner = ?, starts = starts + 1, started_at = COALESCE(started_at, ?), "
        "updated_at = ? WHERE id = ? AND state IN ('queued', 'running') RETURNING id",
        [runner, now, now, task_id],
    )
    return _get(task_id) if claimed else None


def _end(task_id: int, runner: str | None, state: str, error: str | None) -> bool:
    now = clock.now()
    ours, params = ("", []) if runner is None else (" AND runner = ?", [runner])
    ended = execute(
        f"UPDATE task SET state = ?, error = ?, ended_at = ?, updated_at = ? WHERE id = ? "
        f"AND state IN ('queued', 'running'){ours} RETURNING id",
        [state, None if error is None else error_text(error), now, now, task_id, *params],
    )
    return bool(ended)


def _prune(before: float) -> int:
    return len(execute("DELETE FROM task WHERE ended_at < ? RETURNING id", [before]))


def _task(row: tuple[Any, ...]) -> Task:
    task_id, kind, params, state, position, done, total, counts, error, starts, *times = row
    return Task(
        task_id,
        kind,
        msgspec.json.decode(params),
        state,
        None if position is None else msgspec.json.decode(position),
        done,
        total,
        msgspec.json.decode(counts, type=dict[str, int]),
        error,
        starts,
        *times,
    )
