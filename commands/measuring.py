"""What a process counts, and what the /metrics of its node shows: all its processes. Used by commands/process.py."""

from base64 import b64decode
from contextlib import suppress

from actors.metrics import METRICS
from engine.errors import DependencyTrouble
from engine.events import Bus
from engine.log_writer import LogWriter
from engine.logs import tell_dropped
from engine.metrics import Metrics, render_union
from storage.redis_mailbox import RedisMailboxes


def begin(bus: Bus, lines: LogWriter) -> Metrics:
    """Count what happens on the bus; `lines` writes this process's logs."""
    tell_dropped(lines, bus)
    return Metrics(bus, METRICS)


def of_node(mailboxes: RedisMailboxes, process: str, metrics: Metrics) -> bytes:
    """Of all processes of this node, each as of its last heartbeat (commands/process.py); our own are fresh."""
    node, own = process.rsplit("/", 1)
    snapshots = {}
    with suppress(DependencyTrouble):
        for name, info in mailboxes.alive().items():
            if info.get("node") == node and info.get("metrics"):
                snapshots[name.rsplit("/", 1)[-1]] = b64decode(info["metrics"])
    return render_union({**snapshots, own: metrics.snapshot()})
