"""arq: a job leaves the queue after its work (its default). It polls every 10 ms, not 500, or it would mostly sleep."""

import asyncio
from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.peers import job

SETTINGS = RedisSettings(unix_socket_path=job.REDIS.removeprefix("unix://"))


async def process(_context: dict[str, Any], item: dict[str, Any]) -> None:
    """Do the work."""
    job.process(item)


class WorkerSettings:
    """The settings that arq's command reads."""

    functions: ClassVar[list[Any]] = [process]
    redis_settings = SETTINGS
    max_jobs = 100
    poll_delay = 0.01
    keep_result = 0


async def _enqueue(count: int) -> None:
    """Put `count` emails into the queue."""
    pool = await create_pool(SETTINGS)
    for each in job.emails(count):
        await pool.enqueue_job("process", each)


def enqueue(count: int) -> None:
    """Put `count` emails into the queue."""
    asyncio.run(_enqueue(count))
