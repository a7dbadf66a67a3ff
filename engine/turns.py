"""Letting others have their turn in the middle of long work, which a greenlet has to do by itself.

Called wherever work or data may never make a greenlet wait: actors, parsers, and reads of what is always there already.
"""

import gevent

A_TURN_S = 1e-6
"""As long as the hub needs to look at timers and sockets. With sleep(0) it may go round ready greenlets fifty times before it does."""


def breathe() -> None:
    """Let the hub turn: others run, and time-outs that are due come."""
    gevent.sleep(A_TURN_S)
