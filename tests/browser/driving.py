"""A Chromium under test and a server to look at: used by the browser tests and by scripts/screenshots.py.

Selenium drives Debian's Chromium and driver. The flags are those needed by root on a machine without internet access.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from selenium import webdriver
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.chrome.service import Service

from engine.listening import free_port

ROOT = Path(__file__).parents[2]
CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)
DEADLINE = 20.0
SLOW_MS = 4000
"""How long each answer takes of a FakeMail that loses mail: time to lose listed emails before they are fetched."""

WATCHER = """
window.__faults = [];
addEventListener("securitypolicyviolation", (event) => __faults.push("CSP " + event.violatedDirective + " " + event.sourceFile));
addEventListener("error", (event) => __faults.push("error " + event.message));
addEventListener("unhandledrejection", (event) => __faults.push("rejection " + event.reason));
for (const name of ["alert", "confirm", "prompt"]) window[name] = () => __faults.push("dialog " + name);
"""
"""Runs before the page's own scripts and records whatever must never happen."""


def installed() -> bool:
    """Return whether Chromium and its driver are on this machine."""
    return Path(CHROMIUM).exists() and Path(DRIVER).exists()


class Page:
    """One browser tab, with short methods for what tests do in it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.base = ""
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCHER})
        driver.execute_cdp_cmd("Network.enable", {})

    def size(self, width: int, height: int = 900) -> None:
        """Set the viewport; a width below 600 emulates a phone."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def theme(self, name: str) -> None:
        """Set the colour scheme that the system prefers: light or dark."""
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]}
        )

    def open(self, route: str) -> None:
        """Reload the dashboard at a route (`emails?q=x`) and wait until it is live."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.base}/#/{route}")
        self.until("return document.getElementById('link')?.dataset.state === 'live'", "the live connection")

    def go(self, route: str) -> None:
        """Follow a link within the page."""
        self.js("location.hash = arguments[0]", f"#/{route}")

    def js(self, script: str, *values: Any) -> Any:
        """Run a script in the page."""
        return self.driver.execute_script(script, *values)

    def until(self, script: str, what: str = "", deadline: float = DEADLINE, *, value: Any = None) -> Any:
        """Poll a script (its `arguments[0]` is `value`) until it returns something true; return that."""
        end = time.monotonic() + deadline
        while not (found := self._try(script, value)):
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{what or script} did not come within {deadline} s; the page says: {self.text()[:600]}"
                )
            time.sleep(0.02)
        return found

    def _try(self, script: str, value: Any) -> Any:
        """Return a script's result; None if something that it refers to does not exist yet."""
        try:
            return self.js(script, value)
        except JavascriptException:
            return None

    def sees(self, text: str, selector: str = "body", deadline: float = DEADLINE) -> None:
        """Wait until the text appears in one of the selected elements."""
        script = f"return [...document.querySelectorAll({json.dumps(selector)})].some((node) => node.innerText.includes({json.dumps(text)}))"
        self.until(script, f"{text!r} in {selector}", deadline)

    def text(self, selector: str = "main") -> str:
        """Return the text of the first such element."""
        return str(self.js(f"return document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def click(self, selector: str, text: str = "") -> None:
        """Click the first such element (that contains the text), once there is one."""
        find = f"[...document.querySelectorAll({json.dumps(selector)})].find((node) => node.innerText.includes({json.dumps(text)}))"
        self.until(
            f"const node = {find}; if (!node || node.disabled) return false; node.click(); return true",
            f"{selector} {text}",
        )

    def press(self, *keys: str) -> None:
        """Press single keys, like a person without a mouse."""
        for key in keys:
            for kind in ("keyDown", "keyUp"):
                event: dict[str, Any] = {"type": kind, "key": key}
                if len(key) == 1 and kind == "keyDown":
                    event["text"] = key
                if key in CODES:
                    event["windowsVirtualKeyCode"] = CODES[key]
                if key == "Enter" and kind == "keyDown":
                    event["text"] = "\r"
                self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", event)

    def hold_enter(self) -> None:
        """Hold the Enter key down until the system repeats it."""
        event = {"type": "keyDown", "key": "Enter", "windowsVirtualKeyCode": CODES["Enter"], "text": "\r"}
        for repeated in (False, True):
            self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {**event, "autoRepeat": repeated})
        self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {**event, "type": "keyUp", "text": ""})

    def faults(self) -> list[str]:
        """Return what happened although it never must: CSP reports, script errors, dialogs."""
        return list(self.js("return window.__faults ?? []"))

    def shot(self, path: Path) -> None:
        """Save a picture of the visible part of the page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(path))


CODES = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    " ": 32,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}


@contextlib.contextmanager
def chromium() -> Iterator[Page]:
    """Run a fresh browser with its own profile, which is removed afterwards."""
    profile = tempfile.mkdtemp(prefix="ep-chromium-")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Page(driver)
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


@contextlib.contextmanager
def tab_on(browser: Page, base: str) -> Iterator[Page]:
    """Point the browser at a server, wide and light; afterwards check that nothing forbidden has happened in it."""
    browser.base = base
    browser.size(1440)
    browser.theme("light")
    yield browser
    assert browser.faults() == []


@contextlib.contextmanager
def running(folder: Path, **settings: str) -> Iterator["Server"]:
    """Run a server for the duration of the block."""
    server = Server(folder, **settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class Server:
    """`python run.py` with its own port and data folder."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.token = settings.get("API_TOKEN")
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        own = {"PORT": str(self.port), "DATA_DIR": str(self.folder / "data"), "POLL_INTERVAL_S": "2", **self.settings}
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "run.py"],
            cwd=ROOT,
            env={**os.environ, **own},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        wait_for(self.ready, f"a server that is ready (see {self.folder}/server.log)", 60.0)

    def ready(self) -> bool:
        """Return whether the server answers and has subscribed at its FakeMail."""
        try:
            return self.ask("GET", "/health/ready")["status"] is not None
        except (OSError, ValueError):
            return False

    def stop(self) -> None:
        """Stop the server in an orderly way."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)

    def kill(self) -> None:
        """Kill all of its processes at once, as a power cut would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Make one request; JSON in and out (None for an empty answer)."""
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def send(self, subject: str, body: str = "A line.", **more: str) -> str:
        """Send one email to the simulator; return its id."""
        return str(self.ask("POST", "/simulator/send_email", {"subject": subject, "body": body, **more})["email_id"])

    def send_many(self, number: int, subject: str = "Number", **more: str) -> list[str]:
        """Send many at once; return their ids."""
        emails = [{"subject": f"{subject} {index}", "body": f"Text {index}.", **more} for index in range(number)]
        return list(self.ask("POST", "/simulator/send_batch", {"emails": emails})["email_ids"])

    @contextlib.contextmanager
    def sending(self, email: Callable[[], dict[str, Any]], pause: Callable[[], float]) -> Iterator[None]:
        """Send emails in the background, one after each pause."""
        done = threading.Event()

        def run() -> None:
            while not done.wait(pause()):
                self.send(**email())

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def lose(self, number: int, **more: str) -> list[str]:
        """Have a slow FakeMail list emails and lose them before they are fetched; return the dead letters' ids."""
        before = self.ask("GET", "/audit")
        self.ask("PUT", "/simulator/faults", {"latency_ms": SLOW_MS})
        ids = self.send_many(number, "Lost", **more)
        wait_for(lambda: self.ask("GET", "/audit")["listed"] == before["listed"] + number, "them in the books", 60.0)
        self.ask("POST", "/simulator/reset")
        self.ask("DELETE", "/simulator/faults")
        wait_for(lambda: self.ask("GET", "/audit")["dead"] == before["dead"] + number, "dead letters", 60.0)
        return ids

    def processed(self, email_id: str) -> dict[str, Any]:
        """Wait for the email's result and return it."""
        found: dict[str, Any] = {}

        def there() -> bool:
            try:
                found.update(self.ask("GET", f"/results/{quote(email_id, safe='')}?wait=5"))
            except urllib.error.HTTPError as error:
                return error.code != 404
            return True

        wait_for(there, f"a result of {email_id}", 30.0)
        return found


def wait_for(ready: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
    """Poll until `ready()`."""
    end = time.monotonic() + deadline
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {deadline} s")
        time.sleep(0.05)
