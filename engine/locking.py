"""The lock on a data folder: one node at a time, for as long as any of its processes lives, and never one to remove by hand.

Taken by the launcher (engine/launcher.py), which hands the open file to its children: a flock belongs to the open file, not to a
process, so the kernel lets go of it exactly when the last of them has ended.
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
    """Hold the lock; yields its descriptor. `patience` seconds are left to a predecessor that is just ending.

    Raises InUseError, in one line, when the folder is in use, SettingsError when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        own_like(descriptor, path.parent)  # where root looks after a service, that can still take it
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
    """Say who holds it. That is a courtesy, and must keep nobody from starting on a disk that is full."""
    pid = f"{os.getpid()}\n".encode()
    with suppress(OSError):
        os.ftruncate(descriptor, os.pwrite(descriptor, pid, 0))


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "?"
