"""The metrics of a process, and /metrics of its node, which covers all of its processes.

Used by commands/process.py.
"""

from contextlib import suppress

from actors.metrics import METRICS
from engine.errors import DependencyTrouble
from engine.events import Bus
from engine.log_writer import LogWriter
from engine.logs import tell_dropped
from engine.metrics import Metrics, render_union
from engine.names import node_of, own_name
from storage.redis_mailbox import RedisMailboxes


def begin(bus: Bus, lines: LogWriter) -> Metrics:
    """Start counting the events on the bus; `lines` writes this process's logs."""
    tell_dropped(lines, bus)
    return Metrics(bus, METRICS)


def of_node(mailboxes: RedisMailboxes, process: str, metrics: Metrics) -> bytes:
    """Return the metrics of this node's processes: ours now, the others' at their last heartbeat."""
    told: dict[str, bytes] = {}
    with suppress(DependencyTrouble):
        told = mailboxes.metrics([name for name in sorted(mailboxes.living()) if node_of(name) == node_of(process)])
    others = {own_name(name): each for name, each in told.items()}
    return render_union({**others, own_name(process): metrics.snapshot()})
