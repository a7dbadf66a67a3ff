"""Celery: late acknowledgement, a prefetch of one, messages of lost workers rejected, no results kept."""

from typing import Any

from celery import Celery

from benchmarks.peers import job

app = Celery("bench", broker=job.REDIS.replace("unix://", "redis+socket://"))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    worker_hijack_root_logger=False,
)


@app.task
def process(item: dict[str, Any]) -> None:
    """Do the work."""
    job.process(item)


def enqueue(count: int) -> None:
    """Put `count` emails into the queue."""
    for each in job.emails(count):
        process.delay(each)
