"""Re-execution in .venv: the system's Python may start every script, and one line says what is missing."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commands import venv

START = "import sys; sys.path.insert(0, '.'); from commands import venv; venv.enter(); print('went on', *sys.argv[1:])"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with only venv.py and a script that calls enter."""
    (tmp_path / "commands").mkdir()
    shutil.copy(venv.__file__, tmp_path / "commands" / "venv.py")
    (tmp_path / "run.py").write_text(START)
    return tmp_path


def bare_python(clone: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the script with a Python that has no packages installed."""
    command = [sys.executable, "-S", "-E", "run.py", *arguments]
    return subprocess.run(command, check=False, cwd=clone, capture_output=True, text=True, timeout=20)


def test_without_packages_one_line_says_what_to_do(clone):
    done = bare_python(clone)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "make run" in done.stderr


def test_where_there_is_a_virtual_environment_it_goes_on_there_with_the_same_arguments(clone):
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "venv:$#:$1:$2:$3"\nexit 7\n')
    python.chmod(0o755)
    done = bare_python(clone, "import", "a b")
    assert (done.returncode, done.stdout) == (7, "venv:3:run.py:import:a b\n")


def test_inside_the_virtual_environment_nothing_happens(monkeypatch, tmp_path):
    folder = tmp_path / ".venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    monkeypatch.setattr(venv, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "prefix", str(folder))
    venv.enter()


def test_packages_installed_elsewhere_will_do(monkeypatch, tmp_path):
    monkeypatch.setattr(venv, "ROOT", tmp_path)
    venv.enter()


def test_an_old_python_is_told_so(monkeypatch, tmp_path):
    monkeypatch.setattr(venv, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    with pytest.raises(SystemExit, match=r"^Python 3\.11 or newer is needed, this is 3\.9; 'make run' sets it up$"):
        venv.enter()


INTERRUPTED = """
import os, signal, sys, time
from commands import ending, venv

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(20)

venv.enter()
sys.exit(ending.run("run.py", interrupt) if sys.argv[1] == "work" else interrupt())
"""


@pytest.mark.parametrize(("moment", "code"), [("imports", -signal.SIGINT), ("work", 130)])
def test_ctrl_c_leaves_no_traceback_even_during_the_imports(moment, code):
    command = [sys.executable, "-c", INTERRUPTED, moment]
    done = subprocess.run(command, check=False, cwd=venv.ROOT, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.fixture(autouse=True)
def our_own_ctrl_c():
    """Keep pytest's Ctrl-C, which `enter` changes."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)
