"""The processes of a running system as the drill sees them, and signals to them.

Read from /proc, or from `ps` where there is none. Used by the drill and by the chaos tests; signals only processes
below the launcher that the drill itself has started.
"""

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
ROLE = re.compile(r"commands\.process (\w+)")


class Seen(NamedTuple):
    """One process: its id, its parent's, and its command line."""

    pid: int
    parent: int
    command: str

    @property
    def role(self) -> str:
        """The role: front, worker, all, valkey, or other."""
        if "valkey-server" in self.command:
            return "valkey"
        found = ROLE.search(self.command)
        return found[1] if found else "other"


def below(launcher: int) -> list[Seen]:
    """Return all descendants of a process."""
    others = [seen for seen in sorted(_everything()) if seen.pid != launcher]
    family, grown = {launcher}, True
    while grown:  # a child may have a smaller id than its parent: repeat until nothing is added
        more = {seen.pid for seen in others if seen.parent in family} - family
        family |= more
        grown = bool(more)
    return [seen for seen in others if seen.pid in family]


def send(pid: int, number: signal.Signals) -> bool:
    """Signal a process; return False if it has ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


class Held:
    """Refers to one process safely: also after its launcher's end, and never to another one that got its id."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._parent = _parent_of(pid)
        try:
            self._fd: int | None = os.pidfd_open(pid)
        except (AttributeError, OSError):  # not available on this system
            self._fd = None

    def send(self, number: signal.Signals) -> bool:
        """Signal it; return False if it has ended."""
        try:
            if self._fd is not None:
                signal.pidfd_send_signal(self._fd, number)
                return True
        except ProcessLookupError:
            return False
        return _parent_of(self.pid) == self._parent and send(self.pid, number)


def _parent_of(pid: int) -> int | None:
    return next((seen.parent for seen in _everything() if seen.pid == pid), None)


def _everything() -> list[Seen]:
    return _from_proc() if (PROC / "self/stat").exists() else _from_ps()


def _from_proc() -> list[Seen]:
    found = []
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text(errors="replace")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state != "Z":
            found.append(Seen(int(folder.name), int(parent), command))
    return found


def _from_ps() -> list[Seen]:
    done = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True)  # noqa: S607  (wherever ps is)
    rows = (line.split(None, 2) for line in done.stdout.splitlines())
    return [Seen(int(row[0]), int(row[1]), row[2]) for row in rows if len(row) == 3]
