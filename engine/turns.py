"""Yields to other greenlets during long work, or moves that work to another thread; greenlets are not preempted.

Called wherever a greenlet might otherwise run for long without waiting: in actors, in parsers, and in reads of data
that is always ready.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

import gevent
from gevent.hub import Hub
from gevent.threadpool import ThreadPool

T = TypeVar("T")

A_TURN_S = 1e-6
"""Long enough for the hub to check timers and sockets. With sleep(0) it may run the ready greenlets fifty times
first."""


THREADS = 4
"""Enough that long work does not hold up short work. All of it is computation: with more threads the hub would only
get its turn later."""


def breathe() -> None:
    """Let the hub turn: other greenlets run, and time-outs that are due fire."""
    gevent.sleep(A_TURN_S)


def parts(items: Sequence[T], size_of: Callable[[T], int], count: int, size: int) -> Iterator[Sequence[T]]:
    """Yield `items` in parts, in order, each of at most `count` items and `size` in total, or of one item."""
    start = together = 0
    for place, item in enumerate(items):
        together += (added := size_of(item))
        if place > start and (place - start == count or together > size):
            yield items[start:place]
            start, together = place, added
    if items:
        yield items[start:]


def off_the_hub(work: Callable[..., Any], *args: Any) -> Any:
    """Run `work` on another thread, so that it does not block the hub. Its errors reach the caller, and not the log."""
    result, error = _pool(gevent.get_hub()).apply(_outcome, (work, args))
    if error is not None:
        raise error
    return result


@cache
def _pool(hub: Hub) -> ThreadPool:
    """Return the pool of a hub, made on first use. Its threads do not keep the process from ending.

    This is not gevent's own pool, which also resolves host names: a few that no name server answers would take all
    its threads.
    """
    return ThreadPool(THREADS, hub)


def _outcome(work: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    """Return the result or the error of `work`: gevent would print an error that leaves a thread, with traceback."""
    try:
        return work(*args), None
    except Exception as error:  # noqa: BLE001  (raised again on the hub)
        return None, error
