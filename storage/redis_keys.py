"""The key layout: every key of one system in Redis, its type and its meaning. Only the Redis stores use it.

All keys of a system share one hash tag, so that a cluster keeps them in one slot and each script stays atomic:

    ep:{NAMESPACE}:mb:MAILBOX:high|normal|low|quarantine   stream   the lanes; one consumer group `g` for all nodes, from 0
    ep:{NAMESPACE}:mb:MAILBOX:bytes       hash    lane → bytes of its messages, those in hand included; `over`: scripts/put.lua
    ep:{NAMESPACE}:mb:MAILBOX:duty        hash    whose turn with the quarantine it is (scripts/take.lua)
    ep:{NAMESPACE}:mb:MAILBOX:once:HASH   string  this name was put less than ONCE_S (engine/mailbox.py) ago
    ep:{NAMESPACE}:positions              hash    feeder's name → feed_seq
    ep:{NAMESPACE}:log                    stream  the event log; an entry holds up to 100 events
    ep:{NAMESPACE}:log:meta               hash    the log's id, bytes, newest and last trimmed entry (scripts/log.lua)
    ep:{NAMESPACE}:processes              hash    process → when its sign of life expires, and its info
    ep:{NAMESPACE}:metrics:PROCESS        string  the process's metrics as of its last sign of life (engine/metrics.py)
    ep:{NAMESPACE}:lease:NAME             string  the holder's random token
    ep:{NAMESPACE}:calls                  stream  "read again": topics, capped
    ep:{NAMESPACE}:probe                  string  written to check that writing is possible
    ep:launcher:{NODE}, ep:launcher:{NODE}:known   strings  signs of a launcher (launcher_sign.py), which knows no namespace
"""

import hashlib

from engine.mailbox import ALL_LANES

GROUP = "g"


def launcher_keys(node: str) -> tuple[str, str]:
    """Return a launcher's two keys: one exists while it lives, the other once it has given any sign of life."""
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
        """Return the keys of a mailbox's four lanes and its byte counters, in the order of scripts/mailbox.lua."""
        found = self._blocks.get(mailbox)
        if found is None:
            found = tuple(f"{self._root}:mb:{mailbox}:{part}" for part in (*ALL_LANES, "bytes"))
            self._blocks[mailbox] = found
        return found

    def mailbox_of(self, key: str) -> str | None:
        """Return the mailbox to which a lane's key belongs, or None for any other key."""
        mailbox, _, lane = key.removeprefix(f"{self._root}:mb:").rpartition(":")
        return mailbox if key.startswith(f"{self._root}:mb:") and lane in ALL_LANES else None

    def lanes(self, prefix: str) -> str:
        """Return a pattern that matches all lanes of the mailboxes with this prefix (and some other keys)."""
        return f"{self._root}:mb:{prefix}*"

    def duty(self, mailbox: str) -> str:
        """Return the key that says whose turn with the mailbox's quarantine it is."""
        return f"{self._root}:mb:{mailbox}:duty"

    def once(self, mailbox: str, name: str) -> str:
        """Return the key that guards against putting `name` twice; hashed, since names are external and may be long."""
        return f"{self._root}:mb:{mailbox}:once:{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}"

    def metrics(self, process: str) -> str:
        """Return the key of a process's metrics."""
        return f"{self._root}:metrics:{process}"

    def lease(self, name: str) -> str:
        """Return the key of a lease."""
        return f"{self._root}:lease:{name}"
