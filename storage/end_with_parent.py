"""Becomes another program that ends when its parent does; embedded.py runs it as a script: PARENT_PID PROGRAM ARGUMENTS.

Relies on the standard library alone, so that Python can be started bare (-I -S). On Linux the kernel is asked for SIGTERM at the
parent's end; elsewhere the program outlives a killed parent, and its next start finds and ends it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask, make sure that the parent did not end before the question, and become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2]
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)
    os.execv(program, sys.argv[2:])  # noqa: S606  (no shell is meant)


if __name__ == "__main__":
    main()
