"""Events in the middle, logs and metrics at the edge: code that does the work emits one named event; who counts subscribes.

A tiny bus inside one process. Emitted by actors, the supervisor, the hub's watch and the web; read by engine/metrics.py.
These are not the events of the event log, which users see: those are made by actors/ and settled with their messages.
"""

import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

BATCH_SETTLED = "batch_settled"
"""mailbox, actor, messages, and how many of them came to what: done, forwarded, retried, buried, again, foreign (another settled it meanwhile); handle_s, postpone_s, settle_s"""

HANDLER_FAILED = "handler_failed"
"""mailbox, actor, messages, error: a batch raised; its messages are handled one by one"""

MESSAGE_RETRIED = "message_retried"
"""mailbox, reason, count: postponed, an attempt spent or not"""

MESSAGE_BURIED = "message_buried"
"""mailbox, reason, count"""

QUARANTINED = "quarantined"
"""mailbox, count: given back after this process's predecessor died with them in hand"""

RELEASED = "released"
"""mailbox, consumer, count: given back by a consumer that ended or was gone, or to whom a dependency was away for long"""

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
"""paused, workers, versions: the desired state that is now in force"""

HUB_LAG = "hub_lag"
"""lags (seconds, one for each 50 ms), longest: how late the hub turned during the last second"""

LOGS_DROPPED = "logs_dropped"
"""count: log lines that were dropped since the reader of our output is stuck"""

Listener = Callable[[str, dict[str, Any]], None]


class Bus:
    """Calls each subscriber in turn, in the greenlet that emits. Subscribers must be quick and must not raise."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[Listener]] = defaultdict(list)
        self._all: list[Listener] = []

    def subscribe(self, subscriber: Listener, *names: str) -> None:
        """Call `subscriber(name, fields)` for these events; without names for all."""
        for name in names:
            self._by_name[name].append(subscriber)
        if not names:
            self._all.append(subscriber)

    def emit(self, name: str, **fields: Any) -> None:
        """Tell everybody who listens. A subscriber that raises is logged; the others and the emitter go on."""
        for subscriber in (*self._by_name.get(name, ()), *self._all):
            try:
                subscriber(name, fields)
            except Exception:
                log.exception("a subscriber of %s raised", name)
