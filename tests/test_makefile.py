"""`make run` sets up what is missing, even after an interrupted set-up or a change of Python."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the real Makefile and nothing to install, where `run` prints the version instead of serving."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "python run.py serve" in text
    (tmp_path / "Makefile").write_text(text.replace("python run.py serve", "python -V"), encoding="utf-8")
    (tmp_path / "requirements.lock").write_text("", encoding="utf-8")
    return tmp_path


def test_a_set_up_that_was_cut_off_is_made_anew(project: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(project / ".venv")], check=True, timeout=60)
    (project / ".venv" / ".run").touch()
    make = shutil.which("make")
    assert make
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        [make, "run", f"PYTHON={sys.executable}"],
        cwd=project, env=alone, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Python 3.")
    subprocess.run([project / ".venv" / "bin" / "python", "-c", "import pip"], check=True, timeout=60)
