"""RQ: one process per job, its default, which gives isolation and recovery; no results kept."""

from redis import Redis
from rq import Queue

from benchmarks.peers import job


def enqueue(count: int) -> None:
    """Put `count` emails into the queue."""
    queue = Queue("bench", connection=Redis.from_url(job.REDIS))
    for each in job.emails(count):
        queue.enqueue(job.process, each, result_ttl=0)
