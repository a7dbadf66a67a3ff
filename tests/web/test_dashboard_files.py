"""Rules for the dashboard's scripts: short lines, no HTML from text, and a first load requested all at once."""

import re
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"
SCRIPTS = sorted([*(WEB / "dashboard" / "js").rglob("*.js"), *(WEB / "pages").glob("*.js")])
FORBIDDEN = re.compile(r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval)\b")
STATIC_IMPORT = re.compile(r'^import [^"]*"([^"]+)"', re.MULTILINE)
PRELOADED = re.compile(r'rel="modulepreload" href="/static/js/([^"]+)"')


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_has_short_lines_and_makes_no_markup_from_text(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > 120] == []
    code = [line for line in lines if not line.lstrip().startswith(("*", "/*", "//"))]
    assert [line for line in code if FORBIDDEN.search(line)] == []


def test_the_page_asks_at_once_for_every_script_of_its_first_view():
    root = WEB / "dashboard" / "js"
    wanted: set[Path] = set()
    queue = [root / "app.js", root / "pages" / "now.js"]
    while queue:
        path = queue.pop()
        if path not in wanted:
            wanted.add(path)
            queue += [
                (path.parent / name).resolve() for name in STATIC_IMPORT.findall(path.read_text(encoding="utf-8"))
            ]
    html = (WEB / "dashboard" / "index.html").read_text(encoding="utf-8")
    names = {path.relative_to(root).as_posix() for path in wanted}
    assert sorted(PRELOADED.findall(html)) == sorted(names - {"app.js"})
