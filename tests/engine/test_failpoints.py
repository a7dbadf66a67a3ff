"""Failpoints: the table matches the code, and an armed failpoint kills its process exactly once."""

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine import failpoints
from engine.errors import SettingsError
from storage.redis_scripts import PRELUDES

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = ("engine", "storage", "fakemail", "classification", "actors", "web", "commands")


def names_in_code():
    """Yield every name that some line reaches; where a script's name is appended, one per Redis script."""
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach":
                name = ast.literal_eval(node.args[0])
                yield from [name] if len(node.args) == 1 else (name + script for script in PRELUDES)


def test_the_table_names_exactly_what_the_code_reaches():
    found = set(names_in_code())
    plain = {name for name in found if name.split(".")[0] not in {"before", "after"}}
    assert failpoints.POINTS.keys() <= found
    assert plain <= failpoints.POINTS.keys()


@pytest.mark.parametrize("text", ["front:no.such", "front", "front:feed.fed:x"])
def test_a_name_that_is_not_in_the_table_is_refused(text, tmp_path):
    with pytest.raises(SettingsError, match="failpoint"):
        failpoints.arm(text, "front", tmp_path)


def run(folder, spec, role="front", times=3):
    code = (
        "import sys; from pathlib import Path; from engine import failpoints\n"
        f"failpoints.arm({spec!r}, {role!r}, Path({str(folder)!r}))\n"
        f"for nth in range({times}):\n    print(nth, flush=True); failpoints.reach('feed.', 'fed')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout.split()


@pytest.mark.parametrize(("spec", "printed"), [("front:feed.fed", ["0"]), ("front:feed.fed:2", ["0", "1"])])
def test_an_armed_one_kills_at_its_hit_and_only_once_in_a_folder(tmp_path, spec, printed):
    assert run(tmp_path, spec) == (-signal.SIGKILL, printed)
    assert run(tmp_path, spec) == (0, ["0", "1", "2"])


def test_another_role_is_not_struck(tmp_path):
    assert run(tmp_path, "front:feed.fed", role="worker")[0] == 0
