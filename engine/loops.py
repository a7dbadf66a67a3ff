"""Periodic work outside of actors: `keep_doing`, a loop that no error ends.

Spawned by the control (engine/control.py), the web application and others that poll something; actors have ticks of
their own.
"""

import logging
from collections.abc import Callable

import gevent

from engine.backoff import backoff
from engine.errors import DependencyTrouble

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0


def keep_doing(
    work: Callable[[], object],
    every: float,
    name: str,
    *,
    wait: Callable[[float], object] = gevent.sleep,
    until: Callable[[], bool] = lambda: False,
) -> None:
    """Do `work` now, and again `every` seconds after it ends, until `until()` is true or the greenlet ends.

    After failures it is repeated with short but growing pauses. An outage is logged once until it is over, any other
    error each time, with its traceback. `wait` may return early, such as the `wait` of an Event that requests the
    work.
    """
    failures = 0
    while not until():
        try:
            work()
        except DependencyTrouble as trouble:
            failures += 1
            if failures == 1:
                log.info("%s: waits for %s: %s", name, trouble.dependency, trouble)
        except (Exception, gevent.Timeout):
            failures += 1
            log.exception("%s: failed, and is tried again", name)
        else:
            failures = 0
        wait(backoff(failures, base=FIRST_PAUSE_S, cap=LONGEST_PAUSE_S) if failures else every)
