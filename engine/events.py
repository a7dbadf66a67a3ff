"""Events inside a process: code that does the work emits one named event, and logs and metrics subscribe at the edge.

A tiny bus within one process. Actors, the supervisor, the hub's watch and the web emit events; engine/metrics.py and
others read them. These are not the events of the event log, which users see: actors/ makes those, and they are
settled with their messages.

Below, each event's fields follow its name.
"""

import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

BATCH_SETTLED = "batch_settled"
"""mailbox, actor, messages; the number of messages with each result: done, forwarded, retried, buried, again, foreign
(settled by another owner); handle_s, postpone_s, settle_s"""

HANDLER_FAILED = "handler_failed"
"""mailbox, actor, messages, error: a batch raised, and its messages are handled one by one"""

MESSAGE_RETRIED = "message_retried"
"""mailbox, reason, count: postponed, whether or not an attempt was spent"""

MESSAGE_BURIED = "message_buried"
"""mailbox, reason, count"""

QUARANTINED = "quarantined"
"""mailbox, count: given back because this process's predecessor died while it held them"""

RELEASED = "released"
"""mailbox, consumer, count: given back to their mailbox, with no blame: the consumer ended, is gone or may not take, a
dependency was away for long, or a quarantined message had to wait"""

ACTOR_FAILED = "actor_failed"
"""kind, actor, error"""

ACTOR_RESTARTED = "actor_restarted"
"""kind, actor, restarts"""

ESCALATED = "escalated"
"""actor, reason: the process ends"""

DEPENDENCY_LOST = "dependency_lost"
"""dependency, actor, reason: an actor began to wait for it"""

DEPENDENCY_BACK = "dependency_back"
"""dependency, actor, seconds it waited"""

CONTROL_CHANGED = "control_changed"
"""paused, workers, versions: the desired state now in force"""

HUB_LAG = "hub_lag"
"""lags (seconds, one for each 50 ms), longest: how late the hub turned during the last second"""

LOGS_DROPPED = "logs_dropped"
"""count: log lines that were dropped because the reader of our output is stuck"""

Listener = Callable[[str, dict[str, Any]], None]


class Bus:
    """Calls each subscriber in turn, in the greenlet that emits. Subscribers must be quick and must not raise."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[Listener]] = defaultdict(list)
        self._all: list[Listener] = []

    def subscribe(self, subscriber: Listener, *names: str) -> None:
        """Call `subscriber(name, fields)` for these events, or for all if no names are given."""
        for name in names:
            self._by_name[name].append(subscriber)
        if not names:
            self._all.append(subscriber)

    def emit(self, name: str, **fields: Any) -> None:
        """Call all subscribers of an event. If one raises, that is logged; the others and the emitter go on."""
        for subscriber in (*self._by_name.get(name, ()), *self._all):
            try:
                subscriber(name, fields)
            except Exception:
                log.exception("a subscriber of %s raised", name)
