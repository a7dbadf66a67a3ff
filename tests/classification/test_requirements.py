"""What training imports is what requirements-train.txt installs, so that `make train` works in a clean clone."""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w-]+)(?:\[\w+\])?==(\S+)$", text, re.MULTILINE))


def _needed(module: str, seen: set[str]) -> set[str]:
    """Return the packages that a module of classification imports when it is loaded, and those that it loads in turn."""
    seen.add(module)
    names: list[str] = []
    for statement in ast.parse((ROOT / "classification" / f"{module}.py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Import):
            names += [each.name for each in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            names += [f"{statement.module}.{each.name}" for each in statement.names]
    ours = {name.split(".")[1] for name in names if name.startswith("classification.")}
    found = {name.partition(".")[0] for name in names} - {"classification"} - set(sys.stdlib_module_names)
    return found.union(*(_needed(each, seen) for each in ours - seen))


def test_training_needs_nothing_that_its_requirements_leave_out() -> None:
    """Training and the figures of the card load with the pinned packages alone."""
    package_of = {"sklearn": "scikit-learn"}
    needed = {package_of.get(name, name) for name in _needed("training", set()) | _needed("validation", set())}

    assert {"numpy", "scikit-learn"} <= needed
    assert needed <= set(_pins("requirements-train.txt"))


def test_training_and_the_running_system_use_the_same_versions() -> None:
    """A package that stands in both files has one version, or the model would be made by other code than reads it."""
    training, running = _pins("requirements-train.txt"), _pins("requirements.txt")
    shared = set(training) & set(running)

    assert {name: training[name] for name in shared} == {name: running[name] for name in shared}
    assert "numpy" in shared
