"""Taskiq on Redis streams, acknowledging after the work. The task is a coroutine: a thread per task would cost more."""

import asyncio
from typing import Any

from taskiq_redis import RedisStreamBroker

from benchmarks.peers import job

broker = RedisStreamBroker(url=job.REDIS)


@broker.task
async def process(item: dict[str, Any]) -> None:
    """Do the work."""
    job.process(item)


async def _enqueue(count: int) -> None:
    """Create the consumer group first, since it begins at the stream's end, then enqueue."""
    await broker.startup()
    for each in job.emails(count):
        await process.kiq(each)
    await broker.shutdown()


def enqueue(count: int) -> None:
    """Put `count` emails into the queue."""
    asyncio.run(_enqueue(count))
