"""Letting others have their turn in the middle of long work, or doing it on another thread; a greenlet has to see to that by itself.

Called wherever work or data may never make a greenlet wait: actors, parsers, and reads of what is always there already.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import gevent

T = TypeVar("T")

A_TURN_S = 1e-6
"""As long as the hub needs to look at timers and sockets. With sleep(0) it may go round ready greenlets fifty times before it does."""


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
    result, error = gevent.get_hub().threadpool.apply(_outcome, (work, args))
    if error is not None:
        raise error
    return result


def _outcome(work: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    """Its result or its error: an error that left the thread gevent would print, with its traceback."""
    try:
        return work(*args), None
    except Exception as error:  # noqa: BLE001  (raised again on the hub)
        return None, error
