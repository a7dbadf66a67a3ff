"""Which processes will not come back: those that have been silent for longer than their launchers need to start them again.

Asked by the janitor for whoever holds messages. A sign of life lasts for five seconds (actors/heart.py, storage/launcher_sign.py), and silence
is counted from the first look without one.
"""

from engine.mailbox import MailboxStore
from engine.names import node_of

RESTART_S = 60.0
"""A process that is silent while others of its node live has a launcher: that one ends it if it hangs, starts it again, and
blames what it held. Until then that stays where it is, or a message under which processes hang would never be blamed."""

NODE_LOST_S = 20.0
"""The same where nothing is heard of the whole node, and nothing is known of signs of its launcher: an older program's gives none, and a Redis
that lost all has none until the next second. Longer than a hung process takes to be noticed and to start again."""

NODE_ENDED_S = 0.5
"""The same where its launcher gave signs and is silent too, for the five seconds that a sign lasts: nobody will come back there."""


class Silence:
    """Remembers since when each process has been silent; times are seconds of any one monotonic clock."""

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
        """Of these, the ones that will not come back; a process that is not among them is forgotten."""
        alive = self.store.living()
        self.since = {each: self.since.get(each, now) for each in processes - alive}
        nodes = {node_of(process) for process in alive}
        silent_nodes = sorted({node_of(each) for each in self.since} - nodes)
        launchers = {**dict.fromkeys(nodes, True), **self.store.launchers(silent_nodes)}
        return {
            each for each, since in self.since.items() if now - since >= self._patience(launchers.get(node_of(each)))
        }

    def _patience(self, launcher: bool | None) -> float:
        """How long a process may be silent whose launcher lives, has ended, or (None) is not known to."""
        return self.node_lost if launcher is None else self.restart if launcher else self.node_ended
