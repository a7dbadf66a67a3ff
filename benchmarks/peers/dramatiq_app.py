"""Dramatiq on Redis: acknowledges after the work, with eight threads, its defaults (one prefetches next to nothing)."""

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers import job

broker = RedisBroker(url=job.REDIS)
dramatiq.set_broker(broker)


@dramatiq.actor
def process(item: dict[str, Any]) -> None:
    """Do the work."""
    job.process(item)


def enqueue(count: int) -> None:
    """Put `count` emails into the queue."""
    for each in job.emails(count):
        process.send(each)
