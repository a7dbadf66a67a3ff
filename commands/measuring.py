"""What a process counts, and what the /metrics of its node shows: all its processes. Used by commands/process.py."""

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
    """Count what happens on the bus; `lines` writes this process's logs."""
    tell_dropped(lines, bus)
    return Metrics(bus, METRICS)


def of_node(mailboxes: RedisMailboxes, process: str, metrics: Metrics) -> bytes:
    """Of all processes of this node, each as of its last heartbeat (actors/heart.py); our own are fresh."""
    told: dict[str, bytes] = {}
    with suppress(DependencyTrouble):
        told = mailboxes.metrics([name for name in sorted(mailboxes.living()) if node_of(name) == node_of(process)])
    others = {own_name(name): each for name, each in told.items()}
    return render_union({**others, own_name(process): metrics.snapshot()})
