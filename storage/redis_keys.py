"""The key layout: every key of one system in Redis, its type and its meaning. Used by the stores beside it alone.

All keys of a system share one hash tag, so that a cluster keeps them in one slot and each script stays atomic:

    ep:{NAMESPACE}:mb:MAILBOX:high|normal|low|quarantine   stream   the lanes; consumer group `g` over all nodes, begun at 0
    ep:{NAMESPACE}:mb:MAILBOX:bytes       hash    lane → bytes of what waits there or is in hand; `over`: scripts/put.lua
    ep:{NAMESPACE}:mb:MAILBOX:duty        hash    whose turn with the quarantine it is (scripts/take.lua)
    ep:{NAMESPACE}:mb:MAILBOX:once:HASH   string  this was put less than ONCE_S (engine/mailbox.py) ago
    ep:{NAMESPACE}:positions              hash    feeder's name → feed_seq
    ep:{NAMESPACE}:log                    stream  the event log; an entry bears up to 100 events
    ep:{NAMESPACE}:log:meta               hash    its id, its bytes, its newest and its last trimmed entry (scripts/log.lua)
    ep:{NAMESPACE}:processes              hash    process → until when it lives, and what it says of itself
    ep:{NAMESPACE}:metrics:PROCESS        string  its metrics as of its last sign of life (engine/metrics.py)
    ep:{NAMESPACE}:lease:NAME             string  the holder's random token
    ep:{NAMESPACE}:calls                  stream  "read again": topics, capped
    ep:{NAMESPACE}:probe                  string  written to see that writing is possible
    ep:launcher:NODE, ep:launcher:NODE:known   strings  a launcher lives (launcher_sign.py); of no namespace, since it knows no books
"""

import hashlib

from engine.mailbox import ALL_LANES

GROUP = "g"


def launcher_keys(node: str) -> tuple[str, str]:
    """Of a node's launcher: that it lives, and that it is one that says so."""
    return f"ep:launcher:{{{node}}}", f"ep:launcher:{{{node}}}:known"


class Keys:
    """The keys of one namespace (the books' id)."""

    def __init__(self, namespace: str) -> None:
        self._root = f"ep:{{{namespace}}}"
        self.positions = f"{self._root}:positions"
        self.log = (f"{self._root}:log", f"{self._root}:log:meta")
        self.processes = f"{self._root}:processes"
        self.calls = f"{self._root}:calls"
        self.probe = f"{self._root}:probe"
        self._blocks: dict[str, tuple[str, ...]] = {}

    def block(self, mailbox: str) -> tuple[str, ...]:
        """The mailbox's four lanes and its byte counters, in the order that scripts/mailbox.lua expects."""
        found = self._blocks.get(mailbox)
        if found is None:
            found = tuple(f"{self._root}:mb:{mailbox}:{part}" for part in (*ALL_LANES, "bytes"))
            self._blocks[mailbox] = found
        return found

    def mailbox_of(self, key: str) -> str | None:
        """The mailbox whose lane a key is; None for any other key."""
        mailbox, _, lane = key.removeprefix(f"{self._root}:mb:").rpartition(":")
        return mailbox if key.startswith(f"{self._root}:mb:") and lane in ALL_LANES else None

    def lanes(self, prefix: str) -> str:
        """A pattern that all lanes of mailboxes match whose names begin so (and other keys too)."""
        return f"{self._root}:mb:{prefix}*"

    def duty(self, mailbox: str) -> str:
        """Whose turn with the mailbox's quarantine it is."""
        return f"{self._root}:mb:{mailbox}:duty"

    def once(self, mailbox: str, name: str) -> str:
        """The guard against putting `name` twice; hashed, since names come from outside and may be long."""
        return f"{self._root}:mb:{mailbox}:once:{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}"

    def metrics(self, process: str) -> str:
        """What a process counts."""
        return f"{self._root}:metrics:{process}"

    def lease(self, name: str) -> str:
        """The lease of that name."""
        return f"{self._root}:lease:{name}"
