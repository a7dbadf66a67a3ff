"""How run.py and the scripts end: any failure is one line on standard error and an exit code, never a traceback.

The codes: 0, 1 failed, 2 usage, 75 in use by another process, 78 wrong settings, 130 interrupted.
"""

import errno
import io
import os
import signal
import sys
from collections.abc import Callable

from commands.client import CommandError
from engine.errors import DependencyTrouble, SettingsError

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(name: str, work: Callable[[], int | None]) -> int:
    """Do the work of the command or script `name`, and return its exit code: what `work` returns, or its failure's."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # commands/venv.py's, until here
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = work() or 0
        print(end="", flush=True)  # so that a failed write raises here, not while Python ends
    except (SettingsError, CommandError, DependencyTrouble) as error:
        return _say(name, str(error), getattr(error, "code", EXIT_FAILED))
    except BrokenPipeError:
        _drop_output()  # the reader closed the pipe, as `| head` does
        return EXIT_FAILED
    except OSError as error:
        if error.errno in NO_ROOM:
            _drop_output()
        elif error.filename is None:
            raise
        return _say(name, f"{error.filename2 or error.filename or 'the output'}: {error.strerror}", EXIT_FAILED)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


def open_streams() -> None:
    """Open the standard streams that the caller closed, before a database gets their descriptors.

    Output that stdout cannot encode is escaped.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123  (until we end)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Discard the rest of the output, which Python would otherwise try to write once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(name: str, text: str, code: int) -> int:
    print(f"{name}: {text}", file=sys.stderr)
    return code
