"""arq: a job leaves the queue after its work, which is its default. It asks every 10 ms instead of 500, else it would mostly sleep."""

import asyncio
from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.peers import job

SETTINGS = RedisSettings(unix_socket_path=job.REDIS.removeprefix("unix://"))


async def process(_context: dict[str, Any], item: dict[str, Any]) -> None:
    """The work."""
    job.process(item)


class WorkerSettings:
    """Read by arq's command."""

    functions: ClassVar[list[Any]] = [process]
    redis_settings = SETTINGS
    max_jobs = 100
    poll_delay = 0.01
    keep_result = 0


async def _enqueue(count: int) -> None:
    """Put them into the queue."""
    pool = await create_pool(SETTINGS)
    for each in job.emails(count):
        await pool.enqueue_job("process", each)


def enqueue(count: int) -> None:
    """Put `count` emails into the queue."""
    asyncio.run(_enqueue(count))
