"""requirements-train.txt covers everything that training imports, so that `make train` works in a clean clone."""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
OURS = ("classification.", "engine.")


def _pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w-]+)(?:\[\w+\])?==(\S+)$", text, re.MULTILINE))


def _file(module: str) -> Path:
    """Return the file that defines a dotted name: a module, or something in one."""
    parts = module.split(".")
    path = ROOT.joinpath(*parts).with_suffix(".py")
    return path if path.exists() or len(parts) < 3 else ROOT.joinpath(*parts[:-1]).with_suffix(".py")


def _needed(path: Path, seen: set[Path]) -> set[str]:
    """Return the packages that one of our modules imports when loaded, directly or through other modules of ours."""
    seen.add(path)
    names: list[str] = []
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Import):
            names += [each.name for each in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            names += [f"{statement.module}.{each.name}" for each in statement.names]
    ours = {_file(name) for name in names if name.startswith(OURS)}
    found = {name.partition(".")[0] for name in names if not name.startswith(OURS)} - set(sys.stdlib_module_names)
    return found.union(*(_needed(each, seen) for each in ours - seen))


def test_training_needs_nothing_that_its_requirements_leave_out() -> None:
    """Training and the card's figures load with only the pinned packages."""
    package_of = {"sklearn": "scikit-learn"}
    folder = ROOT / "classification" / "learning"
    found = _needed(folder / "training.py", set()) | _needed(folder / "validation.py", set())
    needed = {package_of.get(name, name) for name in found}

    assert {"numpy", "scikit-learn"} <= needed
    assert needed <= set(_pins("requirements-train.txt"))


def test_training_and_the_running_system_use_the_same_versions() -> None:
    """A package in both files has one version, or the model would be written by other code than reads it."""
    training, running = _pins("requirements-train.txt"), _pins("requirements.txt")
    shared = set(training) & set(running)

    assert {name: training[name] for name in shared} == {name: running[name] for name in shared}
    assert "numpy" in shared
