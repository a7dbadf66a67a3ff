"""Dramatiq on Redis: acknowledged after the work, which is its default; its default of eight threads (with one it prefetches next to nothing)."""

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers import job

broker = RedisBroker(url=job.REDIS)
dramatiq.set_broker(broker)


@dramatiq.actor
def process(item: dict[str, Any]) -> None:
    """The work."""
    job.process(item)


def enqueue(count: int) -> None:
    """Put `count` emails into the queue."""
    for each in job.emails(count):
        process.send(each)
