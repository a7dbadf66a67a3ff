"""Allowed imports between the rooms of docs/architecture.md, checked from the imports of every module.

`run.py → commands → web → actors → storage, classification, fakemail → engine`: a module imports from its own room or
from one further right, and only the left reads the environment.
"""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

RANKS = {
    "run": 0,
    "commands": 1,
    "web": 2,
    "actors": 3,
    "storage": 4,
    "classification": 4,
    "fakemail": 4,
    "engine": 5,
}
"""How far right a room is; rooms of one rank may not import each other."""

KNOWS_SETTINGS = {"run", "commands", "settings"}
SCRIPTS = ("initialize_fakemail.py", "test_flow.py", "test_large_batch.py", "test_webhook.py")
OTHER_FOLDERS = {"tests", "scripts", "benchmarks", "deploy", "docs", "data"}
OLDEST_SYNTAX = (3, 7)
"""The oldest Python that must parse the modules run before `venv.enter()`, to get a line and no traceback."""


def modules() -> list[Path]:
    """Return every module of the program, including the commands' start files."""
    rooms = [path for room in (*RANKS, "settings") for path in sorted((ROOT / room).rglob("*.py"))]
    return [ROOT / "run.py", *(ROOT / name for name in SCRIPTS), *rooms]


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    if path.name in SCRIPTS:
        return "run"
    return parts[0].removesuffix(".py")


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, module) for everything that a module imports, anywhere in it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def breaks_direction(room: str, imported: str) -> bool:
    """Return whether a module of `room` may not import this one."""
    other = imported.split(".", maxsplit=1)[0]
    if other == "settings":
        return room not in KNOWS_SETTINGS
    if room == "settings":
        return other in RANKS and imported != "engine.errors"
    if other not in RANKS or other == room:
        return other == ""  # relative imports do not show where they lead
    return RANKS[other] <= RANKS[room]


def reads_environment(path: Path) -> Iterator[int]:
    """Yield the lines that access the process's environment."""
    names = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    for node in ast.walk(parsed(path)):
        by_name = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
        if by_name and isinstance(node, ast.Attribute) and node.attr in names:
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "os" and names & {alias.name for alias in node.names}:
            yield node.lineno


def test_a_module_imports_from_its_own_room_or_from_one_further_right():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {imported}"
        for path in modules()
        for line, imported in imports(path)
        if breaks_direction(room_of(path), imported)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("room", "imported", "wrong"),
    [
        ("engine", "storage.books", True),
        ("storage", "fakemail.client", True),
        ("storage", "classification", True),
        ("actors", "web.live", True),
        ("web", "commands.version", True),
        ("web", "settings", True),
        ("engine", "settings", True),
        ("web", ".problems", True),
        ("settings", "storage.books", True),
        ("settings", "engine.errors", False),
        ("commands", "settings", False),
        ("commands", "engine.launcher", False),
        ("web", "web.problems", False),
        ("actors", "storage.books", False),
        ("engine", "gevent", False),
        ("run", "commands.venv", False),
    ],
)
def test_the_rule_itself(room, imported, wrong):
    assert breaks_direction(room, imported) is wrong


def test_the_making_of_the_model_is_no_part_of_the_running_program():
    """It needs packages that requirements.txt does not have, and the image does not include it."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules()
        if "learning" not in path.parts
        for line, imported in imports(path)
        if imported.startswith("classification.learning")
    ]
    assert wrong == []
    assert "classification/learning" in (ROOT / ".dockerignore").read_text("utf-8").splitlines()


def test_only_settings_and_the_commands_read_the_environment():
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules()
        if room_of(path) not in KNOWS_SETTINGS
        for line in reads_environment(path)
    ]
    assert found == []


def test_every_module_opens_with_a_docstring():
    more = [path for folder in ("scripts", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    bare = [
        str(path.relative_to(ROOT))
        for path in [*modules(), *more]
        if parsed(path).body and not ast.get_docstring(parsed(path))
    ]
    assert bare == []


def test_every_folder_with_code_has_its_place_in_the_house():
    folders = {path.parent.name for path in ROOT.glob("*/*.py") if not path.parent.name.startswith(".")}
    assert folders - OTHER_FOLDERS == set(RANKS) - {"run"} | {"settings"}


@pytest.mark.parametrize("name", ["run.py", *SCRIPTS, "commands/__init__.py", "commands/venv.py"])
def test_what_runs_before_the_virtual_environment_is_plain_enough_for_an_old_python(name):
    ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=OLDEST_SYNTAX)


def test_the_launcher_loads_no_gevent():
    code = "import commands.serve, sys; print(sorted({'gevent', 'pykka', 'bottle', 'peewee'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"
