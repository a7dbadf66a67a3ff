"""Huey on Redis. It acknowledges before the work (a popped task is lost with its worker), and offers no other way."""

from typing import Any

from huey import RedisHuey

from benchmarks.peers import job

huey = RedisHuey("bench", url=job.REDIS, results=False)


@huey.task()
def process(item: dict[str, Any]) -> None:
    """Do the work."""
    job.process(item)


def enqueue(count: int) -> None:
    """Put `count` emails into the queue."""
    for each in job.emails(count):
        process(each)
