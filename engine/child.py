"""What a launcher and its child processes agree on, and the child's half of it.

`child_started` is called first thing in each process that a launcher started (before gevent patches, or after, as it likes); the
launcher's half is engine/launcher.py. Free of gevent.
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
    """What the launcher told us. `after_crash`: it saw our predecessor die; `heartbeat`: write a byte there each second."""

    after_crash: bool = False
    restarts: int = 0
    heartbeat: int | None = None


def child_started(environ: Mapping[str, str]) -> ChildStart:
    """Tie this process's life to its launcher's; without a launcher in `environ`, nothing happens.

    Ctrl-C reaches every process of the terminal's group: it is the launcher's to act on, and ours to ignore.
    """
    launcher = environ.get(LAUNCHER)
    if not launcher:
        return ChildStart()
    _die_with_parent()
    if os.getppid() != int(launcher):  # it died before we could say that we want to die with it
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return ChildStart(
        after_crash=environ.get(AFTER_CRASH) == "1",
        restarts=int(environ.get(RESTARTS) or 0),
        heartbeat=int(environ[HEARTBEAT]),
    )


def _die_with_parent() -> None:
    """Elsewhere than on Linux the heartbeat's broken pipe does the same within a second."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
