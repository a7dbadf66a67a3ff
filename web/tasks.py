"""`/tasks` and `/resync`: long work is started with a 202 and its address, watched while it runs, and cancelled.

storage/tasks.py stores the rows; actors/tasks.py does the work on the node that leads.
"""

from typing import Any

from actors.resync import KIND as RESYNC
from engine.timestamps import timestamp
from storage.tasks import Task
from web.dispatch import Answer, Call, page_answer
from web.events import BEGINNING
from web.problems import Problem
from web.system import the_source
from web.validation import make_cursor, read_cursor, read_number


def resync(call: Call) -> Answer:
    """List the history again, from a history id or from the beginning, and enter emails that are not known yet.

    While the task runs, the same request returns the same task.
    """
    source = the_source(call, call.query.source)
    start = 0 if call.body.start == BEGINNING else call.body.start
    return accepted(call.services.tasks.create(RESYNC, {"source": source.name, "from": start}))


def accepted(task: Task) -> Answer:
    """Return the answer to a request for long work."""
    return Answer(task_item(task), 202, headers=(("Location", f"/tasks/{task.id}"),))


def all_tasks(call: Call) -> Answer:
    """Return the tasks of the last 30 days, newest first."""
    before = read_cursor("tasks", call.query.cursor)
    items, following = call.services.tasks.page(before, call.query.limit)
    return page_answer(call, [task_item(each) for each in items], make_cursor("tasks", following))


def one_task(call: Call, task_id: str) -> dict[str, Any]:
    """Return a task with its progress."""
    return task_item(_task(call, task_id))


def cancel(call: Call, task_id: str) -> dict[str, Any]:
    """Cancel a task; what it has done stays. 409 if it is done or has failed; cancelling it twice is harmless."""
    task = _task(call, task_id)
    if task.state in ("done", "failed"):
        raise Problem(409, f"this task has already ended: its state is {task.state}", state=task.state)
    ended = call.services.tasks.cancel(task.id)
    if ended is None or ended.state != "cancelled":
        raise Problem(409, "this task has ended in the meantime")
    return task_item(ended)


def task_item(task: Task) -> dict[str, Any]:
    """Return a task as the API shows it; `recovered` is set for a resync only, `counts` is all that it counted."""
    return {
        "id": task.id,
        "kind": task.kind,
        "state": task.state,
        "params": task.params,
        "done": task.done,
        "total": task.total,
        "recovered": task.counts.get("recovered", 0) if task.kind == RESYNC else None,
        "counts": task.counts,
        "error": task.error,
        "created_at": timestamp(task.created_at),
        "started_at": timestamp(task.started_at),
        "ended_at": timestamp(task.ended_at),
        "updated_at": timestamp(task.updated_at),
    }


def _task(call: Call, task_id: str) -> Task:
    task = call.services.tasks.get(read_number(task_id))
    if task is None:
        raise Problem(404, "there is no such task")
    return task
