"""Letting others have their turn in the middle of long work, or doing it on another thread; a greenlet has to see to that by itself.

Called wherever work or data may never make a greenlet wait: actors, parsers, and reads of what is always there already.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

import gevent
from gevent.hub import Hub
from gevent.threadpool import ThreadPool

T = TypeVar("T")

A_TURN_S = 1e-6
"""As long as the hub needs to look at timers and sockets. With sleep(0) it may go round ready greenlets fifty times before it does."""


THREADS = 4
"""So that what takes long does not hold up what is short. All of it computes: with more of them the hub would only have its turn later."""


def breathe() -> None:
    """Let the hub turn: others run, and time-outs that are due come."""
    gevent.sleep(A_TURN_S)


def parts(items: Sequence[T], size_of: Callable[[T], int], count: int, size: int) -> Iterator[Sequence[T]]:
    """Cut into parts, in order, each of at most `count` items, and of `size` together or one item."""
    start = together = 0
    for place, item in enumerate(items):
        together += (added := size_of(item))
        if place > start and (place - start == count or together > size):
            yield items[start:place]
            start, together = place, added
    if items:
        yield items[start:]


def off_the_hub(work: Callable[..., Any], *args: Any) -> Any:
    """Run what may take longer than the hub can stand still on another thread. What it raises is the caller's, and nothing for the log."""
    result, error = _pool(gevent.get_hub()).apply(_outcome, (work, args))
    if error is not None:
        raise error
    return result


@cache
def _pool(hub: Hub) -> ThreadPool:
    """Not the hub's own, which resolves names too: a few that a name server does not answer for would take all its threads.

    Made when it is first needed. Its threads keep no process from ending.
    """
    return ThreadPool(THREADS, hub)


def _outcome(work: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    """Its result or its error: an error that left the thread gevent would print, with its traceback."""
    try:
        return work(*args), None
    except Exception as error:  # noqa: BLE001  (raised again on the hub)
        return None, error
