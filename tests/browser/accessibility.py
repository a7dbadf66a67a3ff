"""Runs axe-core inside a page and reports what it calls serious or critical."""

import importlib.resources
from functools import cache

from tests.browser.driving import Page

RUN = """
const done = arguments[0];
axe.run(document, {resultTypes: ["violations"]}).then(
  (result) => done(result.violations
    .filter((fault) => fault.impact === "serious" || fault.impact === "critical")
    .map((fault) => fault.id + ": " + fault.nodes.map((node) => node.html.slice(0, 120)).join(" | "))),
  (error) => done([String(error)]));
"""


@cache
def _source() -> str:
    return (importlib.resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")


def serious_faults(page: Page) -> list[str]:
    """Return one line per fault: the rule's name and the elements."""
    page.js(_source())
    return list(page.driver.execute_async_script(RUN))
