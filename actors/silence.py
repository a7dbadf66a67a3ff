"""Which processes will not come back: those that have been silent for longer than their launchers need to start them again.

Asked by the janitor for whoever holds messages. A sign of life lasts for five seconds (actors/heart.py, storage/launcher_sign.py), and silence
is counted from the first look without one.
"""

from engine.mailbox import MailboxStore
from engine.names import node_of

RESTART_S = 60.0
"""A silent process whose launcher or neighbours live: its launcher ends it if it hangs, starts it again, and blames what it held.
Until then that stays where it is, or a message under which processes hang would never be blamed."""

NODE_ENDED_S = 0.5
"""One whose whole node is silent, its launcher too, for the five seconds that a sign lasts: nobody will come back there."""


class Silence:
    """Remembers since when each process has been silent; times are seconds of any one monotonic clock."""

    def __init__(self, store: MailboxStore, *, restart: float = RESTART_S, node_ended: float = NODE_ENDED_S) -> None:
        self.store = store
        self.restart, self.node_ended = restart, node_ended
        self.since: dict[str, float] = {}

    def gone(self, processes: set[str], now: float) -> set[str]:
        """Of these, the ones that will not come back; a process that is not among them is forgotten."""
        alive = self.store.living()
        self.since = {each: self.since.get(each, now) for each in processes - alive}
        nodes = {node_of(process) for process in alive}
        nodes |= self.store.launchers(sorted({node_of(each) for each in self.since} - nodes))
        return {
            each
            for each, since in self.since.items()
            if now - since >= (self.restart if node_of(each) in nodes else self.node_ended)
        }
