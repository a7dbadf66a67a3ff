"""Files that appear whole or not at all, and that only their owner can read: they hold mail or secrets.

Used by backups, secrets, a node's identity, the embedded Valkey and the lock on a data folder. When root runs a
command, the service's user can still open the files afterwards.
"""

import os
from contextlib import suppress
from pathlib import Path

from engine.errors import SettingsError


def make_private(path: Path) -> None:
    """Create an empty file that only its owner may read, replacing any file of that name."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def take_place(draft: Path, path: Path, *, owner: Path | None = None) -> None:
    """Rename `draft` to `path` once its bytes are on disk. It takes over the owner and mode of the file that was there.

    If there was none, it gets the owner of the file `owner`, if given. Raises OSError.
    """
    if path.exists():
        draft.chmod(path.stat().st_mode & 0o777)
        own_like(draft, path)
    elif owner is not None:
        own_like(draft, owner)
    sync(draft)
    draft.replace(path)
    sync(path.parent)


def make_folder(folder: Path, setting: str) -> None:
    """Make sure that a folder exists and is writable; raises a SettingsError that names the setting."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{setting}={folder} cannot be created ({error.strerror})") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(f"{setting}={folder} cannot be written")


def check_place(file: Path, setting: str) -> None:
    """Raise a SettingsError that names the setting if there cannot be a file at this path."""
    if not file.parent.is_dir():
        raise SettingsError(f"{setting}: the folder {file.parent} does not exist")
    if file.is_dir():
        raise SettingsError(f"{setting}: {file} is a folder, not a file")


def own_like(target: Path | int, model: Path) -> None:
    """Give a file (by path or descriptor) the owner of another, if permitted."""
    was = model.stat()
    with suppress(PermissionError):
        os.chown(target, was.st_uid, was.st_gid)


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
