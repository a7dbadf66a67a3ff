"""Actors, dead letters, books and the simulator's faults, as an operator uses them."""

from collections.abc import Iterator

import pytest

from tests.browser.driving import Page, Server, wait_for

pytestmark = pytest.mark.browser

SHOWN = "return document.querySelector(arguments[0]).checkVisibility()"


@pytest.fixture
def failing(server: Server) -> Iterator[Server]:
    """A FakeMail that answers with garbage about emails, until the test ends."""
    yield server
    server.ask("DELETE", "/simulator/faults")


def test_the_tree_names_every_actor_and_a_pause_is_said_on_every_page(page: Page, server: Server) -> None:
    page.open("actors")
    for name in ("lister", "fetcher", "classifier", "broadcaster"):
        page.sees(name, ".tree")
    page.click(".head .button", "Pause")
    page.click("dialog .button.solid", "Pause")
    page.sees("Paused on all nodes", ".banners")
    assert server.ask("GET", "/actors")["paused"] is True
    page.go("now")
    page.sees("Paused on all nodes", ".banners")
    page.click(".banner .button", "Resume")
    page.until("return !document.querySelector('[data-banner=paused]')")
    wait_for(lambda: server.ask("GET", "/actors")["paused"] is False, "the end of the pause")


def test_a_pause_from_elsewhere_is_said_within_moments(page: Page, server: Server) -> None:
    page.open("now")
    page.sees("Newest")
    server.ask("POST", "/actors/pause")
    try:
        page.sees("Paused on all nodes", ".banners", 5)
    finally:
        server.ask("POST", "/actors/resume")
    page.until("return !document.querySelector('[data-banner=paused]')", "the end of the pause", 5)


def test_the_pool_is_resized(page: Page, server: Server) -> None:
    page.open("actors")
    page.until("return document.querySelector('.size').value !== ''")
    looks = "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/actors')).length"
    page.js(
        "const size = document.querySelector('.size'); size.value = 5; size.dispatchEvent(new Event('input'));"
        "size.form.querySelector('button').focus()"
    )
    page.until(f"window.__looks ??= {looks}; return {looks} > __looks + 1", "the next look at the actors")
    assert page.js("return document.querySelector('.size').value") == "5"
    page.click(".head .button", "Resize")
    wait_for(lambda: server.ask("GET", "/actors")["workers"] == 5, "the new size")
    page.until(
        "return [...document.querySelectorAll('.tree-name')].filter((node) => node.textContent.includes('classifier')).length >= 5"
    )
    server.ask("POST", "/actors/resize", {"workers": 3})


def test_the_books_balance(page: Page) -> None:
    page.open("books")
    page.sees("Balanced.", ".balance")
    page.sees("With a result", ".ledger")


BOOKS = """
const real = window.fetch;
window.fetch = async (path, init) => {
  const answer = await real(path, init);
  const none = { queued: 0, retrying: 0, discarded: 0, erased: 0 };
  return String(path) === "/audit" ? Response.json({ ...(await answer.json()), ...none, ...books }) : answer;
};
"""


@pytest.mark.parametrize(
    ("listed", "dead", "shares"),
    [(4_000, 8, ["99.80 %", "0.20 %"]), (400_000, 1, [">99.99 %", "<0.01 %"]), (100, 20, ["80 %", "20 %"])],
)
def test_a_share_in_the_books_is_not_rounded_to_all_or_none(
    page: Page, listed: int, dead: int, shares: list[str]
) -> None:
    page.open("now")
    page.js(f"const books = arguments[0];{BOOKS}", {"listed": listed, "results": listed - dead, "dead": dead})
    page.go("books")
    page.sees("Balanced.", ".balance")
    shown = page.js(
        "return [...document.querySelectorAll('.ledger tbody td:nth-child(5)')].map((cell) => cell.innerText)"
    )
    assert [share for share in shown if share] == [share.replace(" %", "\u202f%") for share in shares]


def test_what_cannot_be_read_anew_stays_and_says_as_of_when_it_is(page: Page) -> None:
    page.open("books")
    page.sees("Balanced.", ".balance")
    page.js(
        "window.__fetch = window.fetch;"
        "window.fetch = () => Promise.resolve(new Response(JSON.stringify({detail: 'no room'}), {status: 500}))"
    )
    page.sees("could not refresh: no room", ".old")
    page.sees("With a result", ".ledger")
    page.js("window.fetch = window.__fetch")
    page.until("return document.querySelector('.old').hidden")


def test_one_email_is_sent_from_the_simulator(page: Page, server: Server) -> None:
    page.open("simulator")
    page.click("form .button.solid", "Send")  # the browser itself refuses a form without a subject
    page.js(
        "document.querySelector('.pick.end').value = '0'; document.querySelector('.pick.end').dispatchEvent(new Event('change'))"
    )
    before = server.ask("GET", "/simulator/status")["email_count"]
    page.click("form .button.solid", "Send")
    page.sees("Sent as", ".toasts")
    assert server.ask("GET", "/simulator/status")["email_count"] == before + 1


def test_a_burst_goes_out_and_through(page: Page, server: Server) -> None:
    page.open("simulator")
    before = server.ask("GET", "/stats")["total_emails_processed"]
    page.click(".sim-send .button", "100")
    page.sees("100 of 100 sent", ".sim-send")
    wait_for(lambda: server.ask("GET", "/stats")["total_emails_processed"] >= before + 100, "all results")


def test_a_fault_is_switched_on_and_seen_on_now(page: Page, failing: Server) -> None:
    page.open("simulator")
    page.click(".presets .button", "Down")
    page.sees("1 on", ".sim")
    assert failing.ask("GET", "/simulator/faults")["error_rate"] == 1
    failing.send("Nobody can fetch this")
    page.go("now")
    wait_for(lambda: failing.ask("GET", "/health")["status"] == "degraded", "the system's own notice", 30)
    page.sees("degraded", ".now-side", 30)
    page.go("simulator")
    page.click(".sim .button", "All off")
    page.sees("all off", ".sim")


LETTERS = """
const asked = window.fetch;
window.__letters = Array.from({ length: 170 }, (_, index) => ({
  id: 170 - index, email_id: `lost-${170 - index}`, source: "main", reason: "gone", error: "404", attempts: 0,
  dead_at: new Date(0).toISOString(),
}));
window.fetch = async (path, init) => {
  const at = new URL(path, location);
  if (at.pathname === "/dead-letters/groups") {
    const last = new Date(0).toISOString();
    return Response.json({ items: [{ reason: "gone", count: __letters.length, error: "404", last_dead_at: last }] });
  }
  if (at.pathname !== "/dead-letters") return asked(path, init);
  const first = Number(at.searchParams.get("cursor") ?? 0), end = first + Number(at.searchParams.get("limit"));
  return Response.json({ items: __letters.slice(first, end), next_cursor: end < __letters.length ? String(end) : null });
};
"""


def test_a_new_dead_letter_keeps_the_rows_that_were_shown_and_the_focus(page: Page) -> None:
    shown = "return document.querySelectorAll('[data-letter]').length"
    page.open("books")
    page.js(LETTERS)
    page.go("dead")
    for rows in (50, 100, 150):
        page.until(f"{shown} === {rows}", f"{rows} letters")
        if rows < 150:
            page.js("const more = document.querySelector('.more .button'); more.focus(); more.click()")
    assert page.js("return document.activeElement.innerText") == "Show more"
    page.js("document.querySelector('[data-letter=\"60\"] a').focus()")
    page.js(
        "__letters.unshift({ ...__letters[0], id: 171, email_id: 'lost-171' });"
        "import('/static/js/live.js').then(({ live }) => "
        "live.dispatchEvent(new CustomEvent('event', { detail: { event: 'dead', data: {} } })))"
    )
    page.until("return document.querySelector('[data-letter=\"171\"]') !== null", "the new letter")
    assert page.js(shown) == 150
    assert page.js("return document.activeElement.innerText") == "lost-60"
    page.js("document.querySelector('.more .button').focus(); document.querySelector('.more .button').click()")
    page.until(f"{shown} === 171")
    assert page.js("return document.activeElement.innerText") == "lost-21"  # where the button was


def test_dead_letters_are_grouped_counted_asked_about_and_replayed(own_server: Server, browser: Page) -> None:
    own_server.start()
    own_server.send("x", id="n" * 600)  # an id over 512 bytes becomes a dead letter of its own
    wait_for(lambda: own_server.ask("GET", "/audit")["dead"] >= 1, "a dead letter", 30)
    browser.base = own_server.base
    browser.size(1440)
    browser.open("dead")
    browser.sees("Not a readable email", ".group")
    browser.go("dead?reason=crashed_process")
    browser.sees("Nothing matches", ".split")
    assert browser.js("return document.querySelector('.split table, .split button') === null")
    browser.click(".split .button", "Clear the filter")
    browser.sees("All 1", ".split")
    browser.press("j")
    browser.sees("attempts", ".letter")
    browser.sees("You can discard it, but not replay it", ".letter")
    assert "Replay" not in browser.text(".letter .actions")
    assert browser.js("return document.querySelector('.letter ol') === null"), "no list of no attempts"
    browser.size(390, 844)
    assert browser.js(SHOWN, ".groups") is False, "on a phone an open letter stands alone"
    assert browser.js(SHOWN, ".letter") is True
    browser.size(1440)
    assert browser.js(SHOWN, ".groups") is True
    browser.click(".split .button", "Replay all")
    browser.sees("Replay 1 email", "dialog[open]")
    browser.press("Escape")
    browser.until("return !document.querySelector('dialog')")
    browser.click(".split .button", "Replay all")
    browser.click("dialog .button.solid", "Replay")
    browser.sees("Replayed 0 emails; 1 stays here", ".toasts")
    browser.click(".letter .button", "Discard")
    browser.click("dialog .button.danger", "Discard")
    browser.sees("No dead letters", "main")
    assert own_server.ask("GET", "/audit")["discarded"] == 1
    assert browser.faults() == []
