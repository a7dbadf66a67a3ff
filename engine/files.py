"""Files that appear whole or not at all, and are nobody else's: what they hold is mail, or a secret.

Used by backups, secrets, a node's identity, the embedded Valkey and the lock on a data folder. A command that root runs leaves
files that their user can still open.
"""

import os
from contextlib import suppress
from pathlib import Path

from engine.errors import SettingsError


def make_private(path: Path) -> None:
    """Make a new and empty file that its owner alone may read; what is there under that name goes."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def take_place(draft: Path, path: Path, *, owner: Path | None = None) -> None:
    """Give `draft` the name `path`, once its bytes are on the disk. The owner and the mode of what was there stay.

    Where nothing was, the owner becomes that of `owner`, if one is given. Raises OSError.
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
    """See that a folder is there and can be written; SettingsError, which names the setting, where it is not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{setting}={folder} cannot be made ({error.strerror})") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(f"{setting}={folder} cannot be written")


def own_like(target: Path | int, model: Path) -> None:
    """Give a file, or an open one, the owner of another, where we may."""
    was = model.stat()
    with suppress(PermissionError):
        os.chown(target, was.st_uid, was.st_gid)


def sync(path: Path) -> None:
    """See a file, or the names in a folder, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
