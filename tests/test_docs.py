"""The documents, checked against the code: settings, commands, routes, links, decisions, metrics."""

import argparse
import dataclasses
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import run
from engine.metrics import ENGINE_METRICS
from settings import Settings
from web.routes import ROUTES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
VARIABLES = {field.name.upper(): field.default for field in dataclasses.fields(Settings)}
SIMULATOR = "/simulator/"
CALL = re.compile(r"`(GET|POST|PUT|DELETE|WS) (/[^`?\s]*)[^`]*`")


def documents() -> list[Path]:
    """Return every Markdown file of the project."""
    folders = [ROOT, ROOT / "docs", ROOT / "deploy", ROOT / "benchmarks", ROOT / "classification"]
    deep = [path for folder in folders[1:] for path in folder.rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *deep])


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def section(title: str) -> str:
    """Return a section of the README, by its heading."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of a section's tables, without heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    split = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [cells for cells in split if not set(cells[0]) <= {"-", " "}]


def code_lines(path: Path) -> list[str]:
    """Return the lines of a document's shell blocks, with continued ones joined."""
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    return [line.strip() for block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines() if line.strip()]


# -- settings


def shown(default: Any) -> str:
    """Return a default as the table shows it."""
    match default:
        case None | ():
            return "none"
        case bool():
            return f"`{str(default).lower()}`"
        case Path():
            return f"`./{default}`"
        case -1:
            return "`auto`"
        case float():
            return f"`{default:g}`"
        case _:
            return f"`{default}`"


def test_the_settings_table_has_every_variable_with_its_default_in_the_codes_order():
    table = [(cells[0].strip("`"), cells[1]) for cells in rows(section("Settings")) if cells[0].startswith("`")]
    assert table == [(name, shown(default)) for name, default in VARIABLES.items()]


def test_the_template_of_the_environment_has_every_variable_once_and_sets_none():
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert all(not line or line.startswith("#") for line in lines)
    names = [match[1] for line in lines if (match := re.match(r"#([A-Z][A-Z_]+)=", line))]
    assert sorted(names) == sorted(VARIABLES)


def test_the_template_shows_the_defaults():
    pairs = [line[1:].partition("=") for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line]
    given = {name: value for name, _, value in pairs if name in VARIABLES and value}
    assert Settings.from_env(given) == Settings()


# -- commands


def command_lines() -> list[tuple[str, str]]:
    """Return (document, line) for every call of run.py in a shell block or in a table of the README."""
    found = [(named(path), line) for path in documents() for line in code_lines(path) if "run.py" in line]
    return found + [("README.md", cells[0].strip("`")) for cells in rows(section("Commands")) if "run.py" in cells[0]]


@pytest.mark.parametrize(("document", "line"), command_lines())
def test_a_command_in_the_documents_is_one_that_run_py_takes(document, line, monkeypatch):
    words = shlex.split(line, comments=True)
    arguments = words[words.index("run.py") + 1 :]
    arguments = arguments[: next((n for n, word in enumerate(arguments) if word in {"|", "&&", "&", ">", ";"}), None)]
    monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
    try:
        words = ["1" if word == "ID" else word for word in arguments]
        parsed = run._parser(words).parse_args(words)
    except SystemExit as refused:
        pytest.fail(f"{document}: {line} is refused ({refused.code})")
    assert isinstance(parsed, argparse.Namespace)


def test_the_table_of_commands_names_every_command_in_its_order():
    table = [
        match[1] for cells in rows(section("Commands")) if (match := re.match(r"`python3 run\.py ([\w-]+)", cells[0]))
    ]
    assert table == list(run.COMMANDS)


def test_every_target_of_make_in_the_documents_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    asked = {
        (named(path), match[1])
        for path in documents()
        for line in [*code_lines(path), *re.findall(r"`([^`\n]*)`", path.read_text(encoding="utf-8"))]
        if (match := re.search(r"(?:^|\s)make ([a-z-]+)\b", line))
    }
    assert {each for each in asked if each[1] not in targets} == set()
    assert {"run", "test", "lint"} <= targets


def test_the_scripts_beside_run_py_are_named():
    scripts = {path.name for path in ROOT.glob("*.py")} - {"run.py"}
    assert {name for name in scripts if name not in README} == set()


# -- routes


def calls(text: str) -> set[tuple[str, str]]:
    return {(match[1], match[2]) for match in CALL.finditer(text)}


def known_calls() -> set[tuple[str, str]]:
    """Return the table of routes, with the WebSocket's written as in the documents."""
    pairs = {(route.method, route.path) for route in ROUTES}
    return {("WS" if path.startswith("/ws/") else method, path) for method, path in pairs}


def test_every_route_stands_in_the_readme():
    assert known_calls() - calls(README) == set()


def test_every_call_in_the_documents_exists():
    known = known_calls()
    for path in documents():
        found = {call for call in calls(path.read_text(encoding="utf-8")) if not call[1].startswith(SIMULATOR)}
        assert {call for call in found if not is_known(call, known)} == set(), named(path)


def is_known(call: tuple[str, str], known: set[tuple[str, str]]) -> bool:
    """Return whether a call is in the table; a document may have an example in place of a parameter."""
    patterns = [(method, re.sub(r"\{\w+\}", "[^/]+", path)) for method, path in known]
    return any(method == call[0] and re.fullmatch(pattern, call[1]) for method, pattern in patterns)


def test_the_simulators_calls_exist(tmp_path):
    from fakemail.simulator import open_simulator
    from fakemail.simulator_http import simulator_app

    simulator = open_simulator(tmp_path)
    app = simulator_app(simulator)
    known = {*app._calls, *app._controls, ("GET", "/email/{id}")}
    simulator.close()
    named_calls = {(method, path) for method, path in calls(README) if path.startswith(SIMULATOR)}
    assert {(method, "/" + path.removeprefix(SIMULATOR)) for method, path in named_calls} <= known
    assert {path for _, path in app._calls} <= {"/" + path.removeprefix(SIMULATOR) for _, path in named_calls}


# -- links, decisions, metrics


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()).replace(" ", "-")
        for title in titles
    }


def links() -> list[tuple[Path, str]]:
    pattern = re.compile(r"\]\(([^)\s]+)\)")
    return [(path, link) for path in documents() for link in pattern.findall(path.read_text(encoding="utf-8"))]


def test_every_link_leads_to_a_file_and_to_a_heading_in_it():
    broken = []
    for path, link in links():
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{named(path)}: {link}")
    assert broken == []


def test_decisions_are_numbered_without_a_gap_and_bear_their_number_as_title():
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in files] == list(range(1, len(files) + 1))
    for number, path in enumerate(files, start=1):
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name)
        assert path.read_text(encoding="utf-8").startswith(f"# {number}. ")


def test_a_metric_that_the_documents_name_is_one_that_the_code_gives():
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("*/*.py") if path.parent.name != "tests")
    told = {name for path in documents() for name in re.findall(r"emailproc_[a-z_]+", path.read_text(encoding="utf-8"))}
    assert {name for name in told if f'"{name}"' not in sources} == set()


def test_every_metric_of_the_table_is_explained_to_operators():
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert {row.name for row in ENGINE_METRICS if f"`{row.name}`" not in operations} == set()


def test_the_changelog_begins_with_what_is_unreleased_and_has_dated_versions():
    titles = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", title) for title in titles[1:])


def test_no_line_of_the_documents_is_left_to_be_done():
    left = [
        f"{named(path)}: {word}"
        for path in documents()
        for word in ("TODO", "FIXME", "TBD")
        if word in path.read_text()
    ]
    assert left == []


def test_the_ci_script_is_one_that_bash_can_read():
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True, timeout=10)
