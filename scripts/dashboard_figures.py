"""Measures what the dashboard costs: its first load, and an idle open page. Run: `python -m scripts.dashboard_figures`.

It starts a real server of its own with many stored emails, and a headless Chromium with an empty cache, and prints a
table. It needs Chromium with its driver, and touches nothing outside a temporary folder.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.browser.driving import Page, Server, chromium
from tests.browser.filling import fill

STORED, ROUNDS, SECONDS, SEND_EVERY_S, SETTLE_S = 100_000, 5, 60.0, 0.05, 8.0

COUNTER = """
const Real = WebSocket;
window.__socket = { opened: 0, event: 0, messages: 0, told: 0 };
window.WebSocket = class extends Real {
  constructor(...values) {
    super(...values);
    this.addEventListener("open", () => { __socket.opened ||= performance.now(); });
    this.addEventListener("message", ({ data }) => {
      __socket.messages += 1;
      __socket.told += data.length;
      if (JSON.parse(data).seq !== undefined) __socket.event ||= performance.now();
    });
  }
};
"""
LOADED = """
const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
const bytes = (list) => list.reduce((sum, entry) => sum + entry.transferSize, 0);
const files = all.filter((entry) => entry.name.includes("/static/") || entry.entryType === "navigation");
const paint = performance.getEntriesByName("first-contentful-paint")[0];
return { requests: all.length, bytes: bytes(all), files: files.length, fileBytes: bytes(files), paint: paint ? paint.startTime : 0 };
"""
OPEN_LIST = """
const done = arguments[0], began = performance.now();
const look = () => document.querySelectorAll(".row").length > 5 ? done(performance.now() - began) : requestAnimationFrame(look);
location.hash = "#/emails";
look();
"""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stored", type=int, default=STORED, help="emails in the database (%(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long the page is left alone (%(default)s)")
    asked = parser.parse_args()
    rows: list[tuple[str, str]] = [
        ("load of the machine before", f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    ]
    with tempfile.TemporaryDirectory(prefix="ep-figures-") as folder:
        server = Server(Path(folder))
        try:
            _start_filled(server, asked.stored)
            rows += _first_load(server) + _idle(server, asked.seconds)
        finally:
            server.stop()
    rows.append(("load of the machine after", f"{os.getloadavg()[0]:.1f}"))
    print(f"With {asked.stored:,} emails stored:\n\n| what | figure |\n| --- | --- |")
    for name, figure in rows:
        print(f"| {name} | {figure} |")


def _start_filled(server: Server, stored: int) -> None:
    server.start()
    server.stop()
    fill(server.folder / "data" / "emails.db", stored)
    server.start()


# -- the first load


def _first_load(server: Server) -> list[tuple[str, str]]:
    """Measure the first visit of a new browser, a few times over, while mail is coming in."""
    with server.sending(lambda: {"subject": "Something live"}, lambda: SEND_EVERY_S):
        loads = [_one_load(server) for _ in range(ROUNDS)]

    def middle(name: str) -> float:
        return statistics.median(load[name] for load in loads)

    first = loads[0]
    return [
        ("first load: requests until the first event", f"{middle('requests'):.0f}"),
        ("first load: bytes on the wire until then", _kb(middle("bytes"))),
        ("of these, page, scripts and styles", f"{first['files']:.0f} files, {_kb(middle('fileBytes'))}"),
        ("with the other pages' scripts, which come 3 s later", f"{first['allFiles']:.0f} files, {_kb(middle('allBytes'))}"),
        ("opened again: page, scripts and styles (not changed: 304)", _kb(middle("againBytes"))),
        ("first paint", f"{middle('paint'):.0f} ms"),
        ("WebSocket open", f"{middle('opened'):.0f} ms"),
        ("first live event", f"{middle('event'):.0f} ms ({min(x['event'] for x in loads):.0f} to {max(x['event'] for x in loads):.0f})"),
        ("list of emails opens", f"{middle('list'):.0f} ms"),
    ]  # fmt: skip


def _one_load(server: Server) -> dict[str, float]:
    with chromium() as page:
        _watch(page, server)
        page.open("now")
        page.until("return __socket.event", "a live event")
        page.sees("Newest", "main")
        found = {**page.js(LOADED), **page.js("return __socket")}
        time.sleep(SETTLE_S)
        later = page.js(LOADED)
        found |= {"allFiles": later["files"], "allBytes": later["fileBytes"]}
        found["list"] = float(page.driver.execute_async_script(OPEN_LIST))
        page.open("now")
        return found | {"againBytes": page.js(LOADED)["fileBytes"]}


# -- a page that is left alone


def _idle(server: Server, seconds: float) -> list[tuple[str, str]]:
    """Measure the server alone, then with an idle page open."""
    time.sleep(SETTLE_S)
    alone, _ = _spent(seconds, server=lambda: _family(_launcher(server)))
    with chromium() as page:
        _watch(page, server)
        page.open("now")
        time.sleep(SETTLE_S)
        page.js("__socket.messages = 0; __socket.told = 0; performance.clearResourceTimings()")
        driver = int(page.driver.service.process.pid)
        shares, taken = _spent(
            seconds,
            server=lambda: _family(_launcher(server)),
            tab=lambda: [process for process in _family(driver) if _is_tab(process)],
            browser=lambda: _family(driver),
        )
        socket = page.js("return __socket")
        asked = page.js("return performance.getEntriesByType('resource').length")
    minutes = taken / 60
    return [
        ("idle page: CPU of the tab", f"{shares['tab']:.1f} % of a core"),
        ("idle page: CPU of the whole browser, headless", f"{shares['browser']:.1f} % of a core"),
        ("CPU of the server (all processes, Valkey too), no page open", f"{alone['server']:.1f} % of a core"),
        ("CPU of the server with the page open", f"{shares['server']:.1f} % of a core"),
        ("WebSocket messages a minute", f"{socket['messages'] / minutes:.1f} ({_kb(socket['told'] / minutes)})"),
        ("requests a minute", f"{asked / minutes:.1f}"),
    ]


def _spent(seconds: float, **families: Callable[[], list[psutil.Process]]) -> tuple[dict[str, float], float]:
    """Return the CPU that each family of processes used, in percent of a core, and how many seconds were measured."""
    before, began = {name: _cpu(family()) for name, family in families.items()}, time.monotonic()
    time.sleep(seconds)
    taken = time.monotonic() - began
    return {name: 100 * (_cpu(family()) - before[name]) / taken for name, family in families.items()}, taken


def _cpu(family: list[psutil.Process]) -> float:
    """Return the CPU seconds used by these processes and the children that they reaped; 0 for one that is gone."""
    total = 0.0
    for process in family:
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def _family(parent: int) -> list[psutil.Process]:
    """Return a process and all its descendants."""
    root = psutil.Process(parent)
    return [root, *root.children(recursive=True)]


def _launcher(server: Server) -> int:
    assert server.process is not None
    return server.process.pid


def _is_tab(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "--type=renderer" in process.cmdline()
    return False


def _watch(page: Page, server: Server) -> None:
    page.base = server.base
    page.size(1440)
    page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": COUNTER})


def _kb(size: Any) -> str:
    return f"{size / 1000:.1f} kB"


if __name__ == "__main__":
    main()
