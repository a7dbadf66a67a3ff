"""Server events appear at once, none twice and none missed, whatever happens to the connection."""

import time

import pytest

from tests.browser.driving import Page, Server, wait_for

pytestmark = pytest.mark.browser

RECORD = """
window.__seen = [];
const { live } = await import("/static/js/live.js");
live.addEventListener("event", ({ detail }) => { if (detail.event === "process") __seen.push(detail.data.email_id); });
live.addEventListener("resync", ({ detail }) => __seen.push("resync " + detail));
arguments[arguments.length - 1](true);
"""


def record(page: Page) -> None:
    """Record the id of each result event that the page receives from now on."""
    page.driver.execute_async_script("(async function () {" + RECORD + "}).apply(null, arguments)")


@pytest.fixture
def shared_data(own_server: Server, browser: Page) -> Server:
    """A started server for this test, with the browser on it."""
    own_server.start()
    browser.base = own_server.base
    browser.size(1440)
    return own_server


def test_a_new_email_is_seen_within_a_second(page: Page, server: Server) -> None:
    page.open("now")
    page.sees("Newest", "main")
    began = time.monotonic()
    email_id = server.send("Lunch on Friday at noon?", "Shall we meet at the harbour?")
    page.until(f"return document.querySelector('.feed [data-id=\"{email_id}\"]') !== null", "the new email on Now")
    assert time.monotonic() - began < 1.5  # including sending; the page paints every 400 ms


STAND_IN = """
const done = arguments[arguments.length - 1];
const sockets = [];
class StandIn extends EventTarget {
  readyState = 1;
  sent = [];
  constructor() { super(); sockets.push(this); }
  send(text) { this.sent.push(JSON.parse(text)); }
  close() {}
  hear(...messages) {
    for (const each of messages) this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(each) }));
  }
}
const real = window.WebSocket;
StandIn.OPEN = 1;
window.WebSocket = StandIn;
const { Live } = await import("/static/js/live.js");
const live = new Live();
const told = [];
live.addEventListener("event", ({ detail }) => told.push(detail.seq));
live.addEventListener("resync", ({ detail }) => told.push(detail));
const event = (seq) => ({ type: "email_event", event: "new", data: {}, seq });
const sinces = () => sockets.at(-1).sent.map((each) => each.since).filter(Boolean);
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const subscribed = { type: "subscription", status: "success", topic: "email:all" };
const early = { type: "error", message: "the replay ended early: redis cannot be reached", topic: "email:all" };
"""


def stand_in(page: Page, script: str) -> object:
    """Run with a separate Live on a WebSocket controlled by the script; return what it passes to `done`."""
    return page.driver.execute_async_script(f"(async function () {{{STAND_IN}{script}}}).apply(null, arguments)")


def test_a_replay_that_ended_early_is_asked_for_again_and_nothing_is_skipped(page: Page, server: Server) -> None:
    page.open("now")
    found = stand_in(
        page,
        """
        live.start();
        sockets[0].dispatchEvent(new Event("open"));
        sockets[0].hear(event("s1"));
        sockets[0].dispatchEvent(new Event("close"));
        live.reconnect();
        sockets[1].dispatchEvent(new Event("open"));
        sockets[1].hear(subscribed, early, event("s4"));
        while (sinces().length < 2) await later(50);
        sockets[1].hear(subscribed, event("s2"), event("s3"), event("s4"));
        window.WebSocket = real;
        done([told, sinces(), live.lastSeq]);
        """,
    )
    assert found == [["s1", "s4", "s2", "s3"], ["s1", "s1"], "s4"]


def test_a_replay_that_was_refused_is_asked_for_again_and_the_place_is_kept_till_then(
    page: Page, server: Server
) -> None:
    page.open("now")
    found = stand_in(
        page,
        """
        live.start();
        sockets[0].dispatchEvent(new Event("open"));
        sockets[0].hear(event("s1"));
        sockets[0].dispatchEvent(new Event("close"));
        live.reconnect();
        sockets[1].dispatchEvent(new Event("open"));
        const refused = { type: "error", message: "too many calls" };
        sockets[1].hear(refused, refused, event("s3"));
        const kept = live.lastSeq;
        while (sinces().length < 2) await later(50);
        window.WebSocket = real;
        done([kept, sinces()]);
        """,
    )
    assert found == ["s1", ["s1", "s1"]]


BARS_AFTER = """
const [result, done] = arguments;
const plot = document.querySelector(".bars-plot");
const total = () => plot.getAttribute("aria-label").split(" ")[0];
const totals = [], before = total();
let again = 0;
const asked = window.fetch;
window.fetch = async (path, init) => {
  const answer = await asked(path, init);
  if (String(path).startsWith("/stats/timeseries")) again += 1;
  return answer;
};
new MutationObserver(() => totals.push(total())).observe(plot, { attributes: true });
const { live } = await import("/static/js/live.js");
const detail = { event: "process", data: result, timestamp: result.processed_at };
for (let nth = 0; nth < 5; nth += 1) live.dispatchEvent(new CustomEvent("event", { detail }));
while (!again) await new Promise((resolve) => setTimeout(resolve, 50));
await new Promise((resolve) => setTimeout(resolve, 100));
window.fetch = asked;
done({ before, totals: [before, ...totals], again });
"""
"""Announce a result five times, and wait until the bars are read once more."""


def test_a_result_that_the_bars_hold_already_is_not_counted_again(page: Page, server: Server) -> None:
    server.processed(server.send("Counted once"))
    page.open("now")
    page.until("return document.querySelector('.bars-plot') !== null", "the bars")
    [result] = server.ask("GET", "/results?limit=1")["items"]
    told = page.driver.execute_async_script(f"(async function () {{{BARS_AFTER}}}).apply(null, arguments)", result)
    assert told["again"] == 1
    assert set(told["totals"]) == {told["before"]}


def test_a_first_connection_that_comes_late_has_pages_read_again(page: Page, server: Server) -> None:
    page.open("now")
    found = stand_in(
        page,
        """
        live.start();
        live.pagesRead();
        sockets[0].dispatchEvent(new Event("open"));
        window.WebSocket = real;
        done(told);
        """,
    )
    assert found == ["no cursor"]


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768), (390, 844)])
def test_the_newest_are_in_sight_without_scrolling(page: Page, server: Server, width: int, height: int) -> None:
    for email_id in server.send_many(10, "In sight"):
        server.processed(email_id)
    page.size(width, height)
    page.open("now")
    seen = """
    const bar = document.querySelector(".rail-phone").getBoundingClientRect();
    const bottom = bar.height ? bar.top : innerHeight;
    return [...document.querySelectorAll(".feed a")].filter((row) => row.getBoundingClientRect().bottom <= bottom).length === 10;
    """
    page.until(seen, "ten of the newest in sight")


def test_the_newest_keep_still_under_a_pointer_that_moves_and_not_under_one_that_was_forgotten(
    page: Page, server: Server
) -> None:
    page.open("now")
    page.until("return document.querySelector('.feed a') !== null")
    page.js("document.querySelector('.feed').dispatchEvent(new PointerEvent('pointermove'))")
    email_id = server.send("While somebody points at them")
    server.processed(email_id)
    page.sees("held while you read", "main")
    there = f"document.querySelector('.feed [data-id=\"{email_id}\"]') !== null"
    assert not page.js(f"return {there}")
    page.js("const real = Date.now; Date.now = () => real() + 11_000")
    page.until(f"return {there}", "the new email, once the pointer has rested")


def test_a_laptop_shows_all_of_now_without_scrolling(page: Page, server: Server) -> None:
    for email_id in server.send_many(10, "At a glance"):
        server.processed(email_id)
    page.open("now")
    page.sees("Last two minutes", "main")
    page.until("return document.querySelectorAll('.feed a').length === 10 && document.querySelector('.bars') !== null")
    below = "return [...document.querySelectorAll('main .sheet')].filter((box) => box.getBoundingClientRect().bottom > innerHeight).length"
    assert page.js(below) == 0


@pytest.mark.parametrize(("rate", "said"), [(99.975, ">99.9 %"), (100.0, "100 %"), (99.0, "99.0 %"), (None, "\u2013")])
def test_a_success_is_not_rounded_up_to_all(page: Page, rate: float | None, said: str) -> None:
    page.open("now")
    told = """
    const [rate] = arguments;
    const figure = () => [...document.querySelectorAll(".figure")].find((one) => one.innerText.includes("Success"));
    return import("/static/js/state.js").then(({ shared }) => {
      shared.set("stats", { ...shared.stats, success_rate: rate });
      return figure().querySelector("b").innerText;
    });
    """
    page.until("return import('/static/js/state.js').then(({ shared }) => shared.stats !== null)")
    page.until("return document.querySelector('.figure') !== null")
    assert page.js(told, rate) == said.replace(" ", "\u202f")


def test_a_page_that_is_looked_at_again_asks_at_once_whether_all_is_paused(page: Page, server: Server) -> None:
    page.open("books")
    page.sees("Balanced", "main")
    banner = "document.querySelector('[data-banner=paused]')"
    server.ask("POST", "/actors/pause")
    try:
        page.js("document.dispatchEvent(new Event('visibilitychange'))")
        page.until(f"return {banner} !== null", "the banner, before the next regular look", 8)
    finally:
        server.ask("POST", "/actors/resume")
    page.js("return import('/static/js/live.js').then(({ live }) => { live.hangUp(); live.reconnect(); })")
    page.until(f"return {banner} === null", "its end, after a connection that was lost", 8)


def test_the_figures_move_by_themselves(page: Page, server: Server) -> None:
    page.open("now")
    before = server.ask("GET", "/stats")["total_emails_processed"]
    page.until(f"return document.querySelector('[data-badge=emails]').textContent === '{before:,}'")
    server.processed(server.send("One more"))
    page.until(f"return document.querySelector('[data-badge=emails]').textContent === '{before + 1:,}'", deadline=5)


def test_the_list_grows_at_its_top_when_nobody_is_reading(page: Page, server: Server) -> None:
    page.open("emails")
    page.until("return document.querySelectorAll('.row').length > 5")
    email_id = server.send("On top of the list")
    page.until(
        f'return document.querySelector(\'.rows li[aria-posinset="1"] [data-id="{email_id}"][data-state=processed]\') !== null'
    )


def test_new_emails_wait_behind_a_pill_while_one_is_open(page: Page, server: Server) -> None:
    page.open("emails")
    page.until("return document.querySelectorAll('.row').length > 5")
    page.press("j")
    page.until("return document.querySelector('.verdict') !== null")
    first = page.js("return document.querySelector('.rows li .row').dataset.id")
    email_id = server.send("While you read")
    page.sees("1 new", ".pill")
    assert page.js("return document.querySelector('.rows li .row').dataset.id") == first
    page.click(".pill")
    page.until(f"return document.querySelector('.rows li .row').dataset.id === '{email_id}'")


def test_a_killed_server_is_noticed_and_resumed_without_gap_or_duplicate(shared_data: Server, browser: Page) -> None:
    server, page = shared_data, browser
    page.open("now")
    record(page)
    sent = [server.send(f"Before {number}") for number in range(5)]
    page.until("return __seen.length === 5")
    server.kill()
    page.sees("Connection lost", ".banners")
    server.start()
    sent += server.send_many(300, "While the page was away or coming back")
    page.until("return document.getElementById('link').dataset.state === 'live'", deadline=30)
    sent += [server.send(f"After {number}") for number in range(5)]
    page.until("return __seen.length >= 310", "310 results", 30)
    wait_for(lambda: server.ask("GET", "/audit")["queued"] == 0, "an empty queue")
    assert sorted(page.js("return __seen")) == sorted(sent)
    page.until("return !document.querySelector('[data-banner=offline]')")
    assert page.faults() == []


def test_a_signed_out_page_says_so_and_leads_to_the_login(own_server: Server, browser: Page) -> None:
    own_server.settings["API_TOKEN"] = own_server.token = "a-long-enough-token"
    own_server.start()
    browser.size(1440)
    browser.driver.get(own_server.base + "/")
    browser.until("return location.pathname === '/login'", "the login page")


def test_a_share_is_not_rounded_to_all_or_none(page: Page) -> None:
    page.open("now")
    shares = {0: "0 %", 0.004: "<1 %", 0.006: "1 %", 0.87: "87 %", 0.994: "99 %", 0.997: ">99 %", 1: "100 %"}
    told = "const [shares] = arguments; return import('/static/js/format.js').then(({ percent }) => shares.map((share) => percent(share)))"
    assert page.js(told, list(shares)) == [said.replace(" ", "\u202f") for said in shares.values()]


CLOCK = """
const Real = Date;
window.Date = class extends Real {
  constructor(...given) { if (given.length) super(...given); else super(Date.now()); }
  static now() { return Real.now() + OFF; }
};
"""
COLOURS = """
const canvas = document.querySelector('.strip');
const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
return new Set(new Uint32Array(data.buffer)).size;
"""


@pytest.mark.parametrize("hours", [-2, 2])
def test_the_charts_show_what_comes_on_a_machine_whose_clock_is_wrong(page: Page, server: Server, hours: int) -> None:
    script = CLOCK.replace("OFF", str(hours * 3_600_000))
    wrong = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        page.open("now")
        server.processed(server.send("By another clock"))
        page.until("return /^[1-9]/.test(document.querySelector('.bars-plot').ariaLabel)", "a bar")
        page.until(COLOURS.replace("return ", "return 2 < "), "a tick in the strip")
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", wrong)
