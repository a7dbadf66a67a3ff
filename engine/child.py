"""What a launcher and its child processes agree on, and the child's side of it.

Each process that a launcher starts calls `child_started` first of all, before or after gevent patches. The launcher's
side is engine/child_process.py. Free of gevent.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass

LAUNCHER = "EMAILPROC_LAUNCHER"
HEARTBEAT = "EMAILPROC_HEARTBEAT"
AFTER_CRASH = "EMAILPROC_AFTER_CRASH"
RESTARTS = "EMAILPROC_RESTARTS"

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ChildStart:
    """What the launcher told this process.

    `after_crash`: it saw our predecessor die. `heartbeat`: the descriptor to write a byte to every second.
    """

    after_crash: bool = False
    restarts: int = 0
    heartbeat: int | None = None


def child_started(environ: Mapping[str, str]) -> ChildStart:
    """Tie this process's life to its launcher's; without a launcher in `environ`, do nothing.

    Ctrl-C reaches every process of the terminal's group: the launcher acts on it, and its children ignore it.
    """
    launcher = environ.get(LAUNCHER)
    if not launcher:
        return ChildStart()
    _die_with_parent()
    if os.getppid() != int(launcher):  # the launcher died before the call above took effect
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return ChildStart(
        after_crash=environ.get(AFTER_CRASH) == "1",
        restarts=int(environ.get(RESTARTS) or 0),
        heartbeat=int(environ[HEARTBEAT]),
    )


def _die_with_parent() -> None:
    """Have Linux kill this process with its parent; elsewhere the heartbeat's broken pipe ends it within a second."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
