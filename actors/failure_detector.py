"""Decides which processes will not come back: those silent for longer than a launcher needs to restart them.

The janitor asks this about processes that hold messages. A sign of life lasts five seconds (actors/heartbeat.py,
storage/launcher_sign.py), and silence is counted from the first check without one.
"""

from engine.mailbox import MailboxStore
from engine.names import node_of

RESTART_S = 60.0
"""Seconds of silence for a process whose node lives: its launcher ends it if it hangs, restarts it, and blames the
messages that it held. Until then they stay where they are, or a message that hangs processes would never be blamed."""

NODE_LOST_S = 20.0
"""The same for a silent node whose launcher's signs are unknown: an older program gives none, and a Redis that lost
everything has none until the next second. This is longer than it takes to notice and restart a hung process."""

NODE_ENDED_S = 0.5
"""The same for a silent node whose launcher gave signs and has stopped, for the five seconds that a sign lasts:
nobody will restart it."""


class FailureDetector:
    """Remembers since when each process has been silent. Times are seconds of any one monotonic clock."""

    def __init__(
        self,
        store: MailboxStore,
        *,
        restart: float = RESTART_S,
        node_lost: float = NODE_LOST_S,
        node_ended: float = NODE_ENDED_S,
    ) -> None:
        self.store = store
        self.restart, self.node_lost, self.node_ended = restart, node_lost, node_ended
        self.since: dict[str, float] = {}

    def gone(self, processes: set[str], now: float) -> set[str]:
        """Return those of `processes` that will not come back, and forget every process that is not among them."""
        alive = self.store.living()
        self.since = {each: self.since.get(each, now) for each in processes - alive}
        nodes = {node_of(process) for process in alive}
        silent_nodes = sorted({node_of(each) for each in self.since} - nodes)
        launchers = {**dict.fromkeys(nodes, True), **self.store.launchers(silent_nodes)}
        return {
            each for each, since in self.since.items() if now - since >= self._patience(launchers.get(node_of(each)))
        }

    def _patience(self, launcher: bool | None) -> float:
        """Return how long a process may be silent: its launcher lives (True), has ended (False) or is unknown."""
        return self.node_lost if launcher is None else self.restart if launcher else self.node_ended
