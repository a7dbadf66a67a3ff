"""Access in a real browser: login, logout, expiry, the read-only token, and attempts from other sites' pages."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.listening import free_port
from tests.browser.accessibility import serious_faults
from tests.browser.driving import Page, Server, running, wait_for

pytestmark = pytest.mark.browser

FULL, READ = "browser-full-token", "browser-read-token"

OTHER_SITE = """<!doctype html><title>Another site</title><script>
window.outcomes = {};
const target = "http://%(host)s:%(port)d";
async function attempt(name, path, options) {
  try {
    const response = await fetch(target + path, { credentials: "include", ...options });
    outcomes[name] = response.type === "opaque" ? "opaque" : response.status;
  } catch (error) { outcomes[name] = "blocked"; }
}
function socket() {
  return new Promise((resolve) => {
    const ws = new WebSocket(target.replace("http", "ws") + "/ws/emails/evil");
    ws.onopen = () => { outcomes.socket = "open"; resolve(); };
    ws.onerror = () => { outcomes.socket = "refused"; resolve(); };
  });
}
(async () => {
  await attempt("read", "/stats");
  await attempt("pause", "/actors/pause", { method: "POST", mode: "no-cors" });
  await attempt("json", "/actors/pause", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
  await attempt("login", "/login", { method: "POST", mode: "no-cors", headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: "token=x" });
  await socket();
  window.done = true;
})();
</script>"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with both tokens, whose sessions last long enough for a test."""
    with running(tmp_path_factory.mktemp("guarded"), API_TOKEN=FULL, API_TOKEN_READONLY=READ) as server:
        yield server


@pytest.fixture
def visitor(browser: Page, guarded: Server) -> Iterator[Page]:
    """The browser on that server, without a cookie."""
    browser.base = guarded.base
    browser.size(1440)
    browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    yield browser
    browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})


def login(page: Page, token: str) -> None:
    page.driver.get(f"{page.base}/login")
    page.until("return document.querySelector('#token') !== null")
    page.js("document.querySelector('#token').value = arguments[0]; document.querySelector('form').submit()", token)


def live(page: Page) -> None:
    page.until("return document.getElementById('link')?.dataset.state === 'live'", "the live connection")


def paused(server: Server) -> bool:
    return bool(server.ask("GET", "/actors")["paused"])


def outcome(page: Page, method: str, path: str) -> int:
    script = "const done = arguments[2]; fetch(arguments[1], {method: arguments[0]}).then((r) => done(r.status), () => done(0))"
    return int(page.driver.execute_async_script(script, method, path))


def test_a_stranger_is_led_to_the_login_and_the_right_token_to_the_dashboard(visitor: Page) -> None:
    visitor.driver.get(f"{visitor.base}/")
    visitor.until("return location.pathname === '/login'", "the login page")
    login(visitor, "wrong")
    visitor.sees("This token is not valid")
    login(visitor, FULL)
    live(visitor)
    assert visitor.faults() == []
    assert visitor.js("return document.cookie") == ""


def test_logging_out_ends_the_session_here_and_for_a_copy_of_its_cookie(visitor: Page, guarded: Server) -> None:
    login(visitor, FULL)
    live(visitor)
    [cookie] = [each for each in visitor.driver.get_cookies() if each["name"] == "emailproc_session"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert outcome(visitor, "POST", "/logout") == 204
    assert outcome(visitor, "GET", "/stats") == 401
    visitor.until("return document.getElementById('link')?.dataset.state !== 'live'", "the end of the live connection")
    visitor.driver.get(f"{visitor.base}/login")
    visitor.driver.add_cookie({"name": cookie["name"], "value": cookie["value"], "path": "/"})
    assert outcome(visitor, "GET", "/stats") == 401
    assert guarded.ask("GET", "/stats")["uptime_seconds"] > 0


def test_a_session_ends_with_its_time_also_for_a_page_that_is_open(browser: Page, tmp_path: Path) -> None:
    server = Server(tmp_path, API_TOKEN=FULL, SESSION_S="4")
    server.start()
    try:
        browser.base = server.base
        browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        login(browser, FULL)
        live(browser)
        began = time.monotonic()
        browser.until(
            "return document.getElementById('link')?.dataset.state !== 'live'", "the end of the live connection"
        )
        wait_for(lambda: outcome(browser, "GET", "/stats") == 401, "the session's end")
        assert time.monotonic() - began < 10
    finally:
        server.stop()


def sign_in(page: Page, token: str) -> None:
    """Fill in the login form that the page has led to, as a person does."""
    page.until("return location.pathname === '/login' && document.activeElement?.id === 'token'", "the login page")
    page.press(*token, "Enter")
    live(page)


PAPER = {"light": "rgb(244, 246, 245)", "dark": "rgb(14, 20, 18)"}
"""The dashboard's background colour."""


def test_the_login_looks_like_the_rest_in_light_and_dark_wide_and_on_a_phone(visitor: Page) -> None:
    visitor.driver.get(f"{visitor.base}/login")
    visitor.until("return document.activeElement?.id === 'token'", "the field")
    for wrong in (False, True):
        for theme, paper in PAPER.items():
            visitor.theme(theme)
            visitor.until("return getComputedStyle(document.body).backgroundColor === arguments[0]", value=paper)
            assert serious_faults(visitor) == [], (wrong, theme)
        visitor.size(360, 740)
        assert visitor.js("return document.documentElement.scrollWidth <= 360")
        visitor.size(1440)
        visitor.theme("light")
        visitor.press(*"wrong", "Enter")
        visitor.sees("This token is not valid", ".error")
    assert visitor.js("return document.querySelectorAll('script, style, [style]').length") == 0
    assert visitor.faults() == []


def test_signing_out_on_the_page_leads_to_the_login_and_that_back_to_the_same_place(visitor: Page) -> None:
    login(visitor, FULL)
    live(visitor)
    visitor.go("emails?classification=meeting&q=harbour")
    visitor.sees("No matching emails", ".list")
    visitor.click("#sign-out")
    sign_in(visitor, FULL)
    assert visitor.js("return location.hash") == "#/emails?classification=meeting&q=harbour"
    visitor.sees("No matching emails", ".list")
    assert visitor.faults() == []


def test_a_link_to_a_place_is_followed_after_signing_in(visitor: Page) -> None:
    visitor.driver.get("about:blank")
    visitor.driver.get(f"{visitor.base}/#/dead?reason=gone")
    sign_in(visitor, FULL)
    assert visitor.js("return location.hash") == "#/dead?reason=gone"
    visitor.sees("No dead letters", "main")


def test_an_open_page_says_that_it_was_signed_out_elsewhere_and_goes_on_after_signing_in(
    visitor: Page, guarded: Server
) -> None:
    login(visitor, FULL)
    live(visitor)
    visitor.go("books")
    visitor.sees("Balanced", "main")
    guarded.ask("POST", "/logout?everywhere=true")
    visitor.sees("You are signed out", ".banners [role=alert]")
    visitor.until("return document.getElementById('link').dataset.state !== 'live'", "a link that is not live")
    guarded.send("While nobody looked")
    visitor.click(".banner a", "Sign in")
    sign_in(visitor, FULL)
    assert visitor.js("return location.hash") == "#/books"
    visitor.sees("Balanced", "main")
    assert visitor.js("return document.querySelector('.banner')") is None
    assert visitor.faults() == []


def test_a_page_whose_requests_are_refused_does_not_say_live_though_its_socket_is_still_open(visitor: Page) -> None:
    login(visitor, FULL)
    live(visitor)
    visitor.driver.delete_all_cookies()
    visitor.go("books")
    visitor.sees("You are signed out", ".banners [role=alert]")
    visitor.until("return document.getElementById('link').dataset.state !== 'live'", "a link that is not live")


def test_the_read_only_token_shows_everything_and_changes_nothing(visitor: Page, guarded: Server) -> None:
    login(visitor, READ)
    live(visitor)
    statuses = {
        path: outcome(visitor, "GET", path)
        for path in ("/stats", "/emails", "/actors", "/actions", "/metrics", "/dead-letters")
    }
    assert set(statuses.values()) == {200}
    refused = [
        outcome(visitor, "POST", path)
        for path in ("/actors/pause", "/dead-letters/replay", "/setup", "/simulator/reset")
    ]
    assert refused == [403] * 4
    assert outcome(visitor, "DELETE", "/dead-letters/1") == 403
    visitor.sees("Read only", "header .chip")
    visitor.go("actors")
    visitor.click(".head .button", "Pause")
    visitor.click("dialog .button.solid", "Pause")
    visitor.sees("this token is read-only", ".toasts")
    assert not paused(guarded)


@pytest.fixture
def other_site(guarded: Server) -> Iterator[int]:
    """Run another server on this machine (another origin) whose page tries everything on ours; yield its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = "127.0.0.1" if self.path == "/" else self.path.strip("/")
            body = (OTHER_SITE % {"host": host, "port": guarded.port}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_can_neither_read_nor_act_nor_listen(
    visitor: Page, guarded: Server, other_site: int, name: str
) -> None:
    """From the same host on another port (same site, so the cookie would be sent) and from another site."""
    login(visitor, FULL)
    live(visitor)
    before = len(guarded.ask("GET", "/actions")["items"])
    visitor.driver.get(f"http://{name}:{other_site}/")
    visitor.until("return window.done === true", "the attempts")
    outcomes = visitor.js("return window.outcomes")
    assert outcomes["read"] == "blocked", outcomes
    assert outcomes["json"] == "blocked", outcomes
    assert outcomes["socket"] == "refused", outcomes
    assert not paused(guarded)
    assert len(guarded.ask("GET", "/actions")["items"]) == before
    visitor.driver.get(f"{visitor.base}/")
    live(visitor)


def test_without_a_token_another_sites_page_and_a_rebound_name_get_nothing(
    browser: Page, server: Server, other_site: int
) -> None:
    """DNS rebinding: a name that resolves to this machine is not loopback, whatever its address."""
    browser.driver.get(f"http://127.0.0.1:{other_site}/")
    script = """const done = arguments[1]; fetch(arguments[0] + "/stats").then((r) => done("read " + r.status), () => done("blocked"))"""
    assert browser.driver.execute_async_script(script, server.base) == "blocked"
    browser.driver.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": {"X-Forwarded-For": "203.0.113.1"}})
    try:
        browser.driver.get(f"{server.base}/stats")
        assert json.loads(browser.text("body"))["status"] == 403
    finally:
        browser.driver.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": {}})
