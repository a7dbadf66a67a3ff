"""Taskiq on Redis streams, acknowledged after the work. The task is a coroutine: a thread a task would cost it more."""

import asyncio
from typing import Any

from taskiq_redis import RedisStreamBroker

from benchmarks.peers import job

broker = RedisStreamBroker(url=job.REDIS)


@broker.task
async def process(item: dict[str, Any]) -> None:
    """The work."""
    job.process(item)


async def _enqueue(count: int) -> None:
    """The group is made first: it begins at the stream's end."""
    await broker.startup()
    for each in job.emails(count):
        await process.kiq(each)
    await broker.shutdown()


def enqueue(count: int) -> None:
    """Put `count` emails into the queue."""
    asyncio.run(_enqueue(count))
