"""Runs another program so that it ends with its parent; embedded.py starts this script: PARENT_PID PROGRAM ARGUMENTS.

Needs only the standard library, so that Python can be started bare (-I -S). On Linux, the kernel sends the program
SIGTERM when the parent ends. Elsewhere the program outlives a killed parent; the next start finds it and ends it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Request the signal, check that the parent did not end before the request, and exec the program."""
    parent, program = int(sys.argv[1]), sys.argv[2]
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)
    os.execv(program, sys.argv[2:])  # noqa: S606  (no shell is meant)


if __name__ == "__main__":
    main()
