"""The lock on a data folder: a node holds it as long as any of its processes lives. Nobody ever has to remove it.

The launcher (engine/launcher.py) takes it and passes the open file to its children: a flock belongs to the open file,
not to a process, so the kernel releases it exactly when the last of them has ended.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import InUseError, SettingsError
from engine.files import own_like


@contextmanager
def locked(path: Path, patience: float) -> Iterator[int]:
    """Hold the lock and yield its descriptor. Waits up to `patience` seconds for a predecessor that is just ending.

    Raises InUseError if the folder is in use, and SettingsError if it cannot be written; the message is one line.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        own_like(descriptor, path.parent)  # if root runs a command, the service's user can still take the lock
    except OSError as error:
        raise SettingsError(f"DATA_DIR {path.parent} cannot be used: {error.strerror}") from error
    try:
        if not _taken(descriptor, patience):
            raise InUseError(f"DATA_DIR {path.parent} is in use by process {_holder(descriptor)}: stop that one first")
        _sign(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def _taken(descriptor: int, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _sign(descriptor: int) -> None:
    """Write our process id into the file: a courtesy, which must not prevent a start when the disk is full."""
    pid = f"{os.getpid()}\n".encode()
    with suppress(OSError):
        os.ftruncate(descriptor, os.pwrite(descriptor, pid, 0))


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "?"
