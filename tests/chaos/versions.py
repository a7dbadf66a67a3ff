"""Folders with other versions of the program: a newer one made from this tree, and an older one from git's history.

Used by the tests of rolling upgrades (tests/flow/test_upgrade.py, tests/chaos/test_upgrade.py).
"""

import re
import shutil
import subprocess
from pathlib import Path

from commands.venv import ROOT
from storage.migrations import STEPS

PROGRAM = ("actors", "classification", "commands", "engine", "fakemail", "settings", "storage", "web")
NEWER = "99.0.0"
NEWER_SCHEMA = len(STEPS) + 1

STEP = """
def _next() -> None:
    for table in ("book", "content", "result", "source", "attempt", "dead_letter", "counter", "desired"):
        execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS tint TEXT NOT NULL DEFAULT 'grey'")
    execute("CREATE TABLE IF NOT EXISTS tints (name TEXT PRIMARY KEY)")
    execute("CREATE INDEX IF NOT EXISTS book_tint ON book (tint)")


STEPS: """

CHANGES = {
    "commands/version.py": [(r'VERSION = "[^"]+"', f'VERSION = "{NEWER}"')],
    "storage/migrations.py": [
        (r"\nSTEPS: ", STEP),
        (r'\n\)\n"""The step at', '\n    _next,\n)\n"""The step at'),
    ],
    "engine/mailbox.py": [
        (r"    omit_defaults=True,\n    rename=\{", '    rename={\n        "tint": "tint",'),
        (r"\n    feed_seq: int = 0\n", '\n    feed_seq: int = 0\n    tint: str = "grey"\n'),
    ],
    "actors/events.py": [(r"\n    timestamp: str \| None\n", '\n    timestamp: str | None\n    tint: str = "grey"\n')],
    "commands/process.py": [(r'\n        "role": role,', '\n        "role": role,\n        "tint": "grey",')],
}
"""File → how a newer version differs: a schema step, and fields in messages, events and heartbeats."""


def newer(folder: Path, *, oldest: int | None = None) -> Path:
    """Make a newer version, one schema step ahead; `oldest` is the oldest program schema that it tolerates."""
    folder.mkdir(parents=True)
    for name in PROGRAM:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.glob("*.py"):
        shutil.copy(path, folder)
    breaking = [] if oldest is None else [(r"\nOLDEST = \d+\n", f"\nOLDEST = {oldest}\n")]
    for name, changes in CHANGES.items():
        for pattern, text in [*changes, *(breaking if name == "storage/migrations.py" else [])]:
            _change(folder / name, pattern, text)
    return folder


def of_commit(folder: Path, commit: str) -> Path | None:
    """Return the program as of a commit; None without the history (a shallow clone, a copy without git)."""
    folder.mkdir(parents=True)
    archive = folder.with_suffix(".tar")
    done = subprocess.run(["git", "archive", f"--output={archive}", commit], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        return None
    shutil.unpack_archive(archive, folder, filter="data")
    return folder


def _change(path: Path, pattern: str, text: str) -> None:
    changed, count = re.subn(pattern, lambda _: text, path.read_text())
    assert count == 1, f"{path.name}: {pattern!r} is there {count} times"
    path.write_text(changed)
