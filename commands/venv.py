"""Switches to the project's virtual environment if there is one, so that the system's Python can start everything.

run.py and the scripts call it before importing any installed package. It uses the standard library only, in syntax that
old Pythons understand, so that they print one line instead of a traceback.
"""

import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)


def enter() -> None:
    """Replace this process with .venv's Python, unless it runs in .venv already or there is none.

    From now on Ctrl-C ends it without a traceback of the imports; ending.py takes over from there.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    python = ROOT / ".venv" / "bin" / "python"
    if python.exists() and Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606  (our own interpreter, our own arguments)
    if sys.version_info < OLDEST:
        sys.exit("Python 3.11 or newer is needed, this is %d.%d; 'make run' sets it up" % sys.version_info[:2])  # noqa: UP031
    try:
        import gevent  # noqa: F401, PLC0415  (is it installed?)
    except ImportError:
        sys.exit("the packages of requirements.txt are not installed here; 'make run' sets them up in .venv")
