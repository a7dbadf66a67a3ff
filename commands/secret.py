"""`run.py secret new|rotate`: creates webhook signing secrets, and rotates them without refusing a valid delivery.

A rotation has three steps: accept both secrets (`rotate`), give FakeMail the new one, drop the old one
(`rotate --finish`). A running system reads the file again on SIGHUP, which --reload sends to its launcher.
"""

import argparse
import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from commands.arguments import Actions
from commands.client import CommandError
from engine.errors import InUseError
from engine.files import make_private, take_place
from engine.locking import locked
from fakemail.signature import new_secret
from settings import Settings

VARIABLE = "WEBHOOK_SECRET"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = Actions(parser)
    actions.add("new", "print a new secret")
    rotate = actions.add("rotate", "add a new secret beside the current one; --finish drops the old one")
    rotate.add_argument("--finish", action="store_true", help="keep only the newest secret")
    rotate.add_argument(
        "--file", type=Path, help=f"the file to change (default: {VARIABLE}_FILE; without either, print the value)"
    )
    rotate.add_argument("--reload", action="store_true", help="then have the system that runs on DATA_DIR reload it")


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Create or rotate a secret."""
    if args.action == "new":
        made = new_secret()
        print(json.dumps({"secret": made}) if args.json else made)
        return
    named = os.environ.get(f"{VARIABLE}_FILE", "").strip()
    path = args.file or (Path(named) if named else None)
    present = _present(path, settings)
    if len(present) > 1 and not args.finish:  # another new one would push out the one that FakeMail signs with
        raise CommandError("a rotation is under way: run `secret rotate --finish` first")
    wanted = present[:1] if args.finish else (new_secret(), *present)
    if not wanted:
        raise CommandError(f"there is no secret yet: set {VARIABLE}, or start with `run.py secret rotate`")
    if args.json:
        _rotate_for_machines(args, path, wanted, settings)
        return
    if path is None:
        print(f"{VARIABLE}={' '.join(wanted)!r}")
        print("# set this and restart; with the value in a file (WEBHOOK_SECRET_FILE) no restart is needed")
        return
    told = _change(path, wanted, settings, reload=args.reload)
    print(f"{path}: {len(wanted)} secret{'s' if len(wanted) > 1 else ''}, the newest first")
    if told is not None:
        print(f"process {told} is reloading it")
    if not args.finish:
        print("now give FakeMail the new one, then `run.py secret rotate --finish`")


def _rotate_for_machines(
    args: argparse.Namespace, path: Path | None, wanted: Sequence[str], settings: Settings
) -> None:
    """Rotate, and print JSON. It contains the secrets only if no file keeps them."""
    told: dict[str, object] = {"secrets": len(wanted)}
    if path is None:
        told["value"] = " ".join(wanted)
    else:
        reloaded = _change(path, wanted, settings, reload=args.reload)
        told["file"] = str(path)
        if reloaded is not None:
            told["reloaded"] = reloaded
    print(json.dumps(told))


def _change(path: Path, wanted: Sequence[str], settings: Settings, *, reload: bool) -> int | None:
    """Write the file and signal the process that should reread it; return its id.

    If there is no process to signal, nothing is written.
    """
    pid = _listener(settings.lock) if reload else None
    _write(path, " ".join(wanted) + "\n")
    if pid is not None:
        _signal(pid, signal.SIGHUP)
    return pid


def _present(path: Path | None, settings: Settings) -> tuple[str, ...]:
    if path is None:
        return settings.webhook_secret
    try:
        return tuple(path.read_text(encoding="utf-8").split()) if path.exists() else ()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read ({type(error).__name__})") from None


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    try:
        make_private(draft)
        draft.write_text(text, encoding="utf-8")
        take_place(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise CommandError(f"{path} cannot be written ({error.strerror})") from None


def _listener(lock: Path) -> int:
    """Return the id of the process that holds the lock, if we may signal it. Raises CommandError if there is none."""
    try:
        with locked(lock, 0.0):
            raise CommandError(f"nothing runs on {lock.parent}, so nothing can be reloaded: leave --reload out")
    except InUseError:
        pid = int(lock.read_text().strip() or 0)
    if pid <= 1 and not _is_launcher(pid):
        raise CommandError("it is not known which process to signal")
    _signal(pid, 0)
    return pid


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError as error:
        raise CommandError(f"process {pid} cannot be signalled ({error.strerror})") from None


def _is_launcher(pid: int) -> bool:
    """Whether a process is our launcher, which has id 1 in a container."""
    with suppress(OSError):
        return b"run.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
