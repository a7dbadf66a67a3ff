"""Every page without a mouse: the Tab order, a visible focus, and each page's main action with keys alone."""

import pytest

from tests.actors.receiver import Receiver
from tests.browser.driving import Page, Server, wait_for
from tests.browser.test_pages import PAGES

pytestmark = pytest.mark.browser

REACHABLE = """
const wanted = "a[href], button, input, select, textarea, [tabindex]";
return [...document.querySelectorAll(wanted)].filter((node) =>
  node.tabIndex >= 0 && !node.disabled && node.checkVisibility({ visibilityProperty: true })).length;
"""
"""How many elements Tab should reach."""

WHERE = """
const node = document.activeElement;
if (!node || node === document.body) return null;
window.__stops ??= new Map();
const style = getComputedStyle(node), box = node.getBoundingClientRect();
const again = __stops.has(node);
if (!again) __stops.set(node, __stops.size);
const before = [...__stops.keys()].at(-2);
return {
  name: (node.getAttribute("aria-label") ?? node.innerText ?? "").trim().slice(0, 40) || node.tagName,
  again,
  follows: !before || again || Boolean(before.compareDocumentPosition(node) & Node.DOCUMENT_POSITION_FOLLOWING),
  marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
  inSight: box.width > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth,
};
"""
"""The focused element: whether it was reached before, comes after the previous one, and is visible."""

MOST_STOPS = 400


def tab(page: Page) -> dict[str, object] | None:
    """Press Tab once; return where it leads, None outside the page."""
    page.press("Tab")
    stop: dict[str, object] | None = page.js(WHERE)
    return stop


def tab_to(page: Page, selector: str, text: str = "") -> None:
    """Press Tab until such an element has focus."""
    there = "const node = document.activeElement; return node.matches(arguments[0]) && node.innerText.includes(arguments[1])"
    for _ in range(MOST_STOPS):
        page.press("Tab")
        if page.js(there, selector, text):
            return
    raise AssertionError(f"Tab never came to {selector} {text}")


@pytest.mark.parametrize("route", PAGES)
def test_tab_goes_through_everything_in_order_and_its_place_is_always_seen(page: Page, route: str) -> None:
    page.open(route)
    page.sees(PAGES[route], "main")
    page.until("return document.querySelector('main [aria-busy]') === null", "the end of loading")
    stops = []
    while (stop := tab(page)) is not None and not stop["again"]:
        stops.append(stop)
        assert len(stops) < MOST_STOPS
    assert [stop["name"] for stop in stops[:3]] == ["Skip to content", "Email processor", "INPUT"]
    assert len(stops) == page.js(REACHABLE)
    assert [stop for stop in stops if not (stop["follows"] and stop["marked"] and stop["inSight"])] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_focus_on_the_undo_of_a_toast_stands_out_from_the_toast(page: Page, theme: str) -> None:
    page.theme(theme)
    page.open("books")
    page.until(f"return document.documentElement.dataset.theme === '{theme}'")
    page.js("return import('/static/js/acting.js').then(({ toast }) => void toast('Done', { undo: () => {} }))")
    tab_to(page, ".toast button", "Undo")
    style = "const style = getComputedStyle(document.activeElement); return [style.outlineColor, style.color]"
    outline, words = page.js(style)
    assert outline == words


def test_a_toast_stays_while_somebody_is_on_it(page: Page) -> None:
    page.open("books")
    say = "return import('/static/js/acting.js').then(({ toast }) => ['Looked at', 'Left alone'].forEach((name) => void toast(name, { undo: () => {}, seconds: 2 })))"
    page.js(say)
    page.js("document.querySelector('.toast button').focus()")
    page.until("return document.querySelectorAll('.toast').length === 1")
    assert "Looked at" in page.text(".toast")
    page.js("document.activeElement.blur()")
    page.until("return document.querySelector('.toast') === null")


def test_the_first_link_skips_to_the_page_and_stays_on_it(page: Page) -> None:
    page.open("books")
    page.sees("Balanced", "main")
    page.press("Tab", "Enter")
    page.until("return document.activeElement.id === 'main'")
    assert page.js("return location.hash") == "#/books"
    page.press("Tab")
    assert page.js("return document.getElementById('main').contains(document.activeElement)")


def test_a_long_list_is_one_stop_and_the_arrows_go_through_it(page: Page, server: Server) -> None:
    for number in range(12):
        server.processed(server.send(f"Row {number}"))
    page.open("emails")
    page.until("return document.querySelectorAll('.row').length >= 12")
    tab_to(page, ".row")
    at = "return document.activeElement.closest('li')?.getAttribute('aria-posinset')"
    page.press("ArrowDown", "ArrowDown")
    page.until(f"return ({at.removeprefix('return ')}) === '3'")
    page.press("ArrowUp")
    assert page.js(at) == "2"
    page.press("Enter")
    page.until("return document.querySelector('.verdict') !== null", "the email beside the list")
    page.press("Tab")
    page.until("return document.querySelector('.detail').contains(document.activeElement)", "the email, one Tab away")


def test_a_webhook_is_made_and_deleted_by_keys(page: Page, server: Server) -> None:
    with Receiver() as receiver:
        page.open("subscriptions")
        page.sees("New webhook", "main")
        page.press("n")
        page.until("return document.activeElement.id === 'hook-url'", "the focus in the form")
        page.press(*receiver.url, "Enter")
        page.until("return document.querySelector('dialog [data-secret]') !== null", "the secret")
        page.until("return document.activeElement.closest('dialog') !== null", "the focus in the dialog")
        page.press("Escape")
        page.until("return !document.querySelector('dialog')")
        page.sees("Deliveries", ".letter")
        tab_to(page, ".letter .button.danger", "Delete")
        page.press("Enter")
        page.sees("Delete", "dialog[open]")
        page.press("Enter")
        wait_for(lambda: server.ask("GET", "/subscriptions")["items"] == [], "the deletion")


def test_a_rule_is_made_and_deleted_by_keys(page: Page, server: Server) -> None:
    page.open("rules")
    page.sees("New rule", "main")
    page.press("n")
    page.until("return document.activeElement.id === 'rule-name'", "the focus in the form")
    page.press(*"Keys")
    tab_to(page, ".condition input")
    page.press(*"platypus")
    tab_to(page, "#rule-class")
    page.press("m")  # a select jumps to the option that begins with the key
    tab_to(page, "button", "Test on stored mail")
    page.press("Enter")
    page.sees("stored email", ".tried")
    tab_to(page, ".rule-form .button.solid", "Save")
    page.press("Enter")
    wait_for(lambda: [rule["name"] for rule in server.ask("GET", "/rules")["items"]] == ["Keys"], "the rule")
    assert server.ask("GET", "/rules")["items"][0]["classification"] == "meeting"
    tab_to(page, ".rule-form .button.danger", "Delete")
    page.press("Enter")
    page.sees("Delete", "dialog[open]")
    page.press("Enter")
    wait_for(lambda: server.ask("GET", "/rules")["items"] == [], "the deletion")


def test_the_machine_is_paused_and_resumed_by_keys(page: Page, server: Server) -> None:
    page.open("now")
    page.press("g", "a")
    page.sees("Mailboxes", "main")
    tab_to(page, ".head .button", "Pause")
    page.press("Enter")
    page.sees("Pause all nodes?", "dialog[open]")
    page.press("Escape")
    page.until("return !document.querySelector('dialog')")
    assert page.js("return document.activeElement.innerText") == "Pause"  # the focus has not moved
    page.hold_enter()  # asks, and must not answer, too
    page.sees("Pause all nodes?", "dialog[open]")
    page.press("Enter")
    page.sees("Paused on all nodes", ".banners")
    page.until("return document.querySelector('.head .button.solid')?.innerText === 'Resume'")
    tab_to(page, ".head .button", "Resume")
    page.press("Enter")
    page.until("return !document.querySelector('[data-banner=paused]')")
    wait_for(lambda: server.ask("GET", "/actors")["paused"] is False, "the end of the pause")


def test_an_email_is_sent_and_a_fault_is_switched_by_keys(page: Page, server: Server) -> None:
    page.open("simulator")
    before = server.ask("GET", "/simulator/status")["email_count"]
    tab_to(page, "#send-subject")
    page.press(*"By keys", "Enter")
    page.sees("Sent as", ".toasts")
    assert server.ask("GET", "/simulator/status")["email_count"] == before + 1
    tab_to(page, "#fault-duplicate_rate")
    page.press(" ")
    page.sees("1 on", ".sim")
    wait_for(lambda: server.ask("GET", "/simulator/faults")["duplicate_rate"] > 0, "the fault")
    page.press("Tab", "ArrowRight")
    wait_for(lambda: server.ask("GET", "/simulator/faults")["duplicate_rate"] == 0.35, "more of it")
    page.open("simulator")
    tab_to(page, ".sim .button", "All off")
    page.press("Enter")
    page.sees("all off", ".sim")


def test_the_bars_are_read_one_by_one_by_arrows(page: Page) -> None:
    page.open("now")
    page.until("return document.querySelector('.bars-plot') !== null")
    tab_to(page, ".bars-plot")
    page.press("ArrowLeft")
    page.until("return /\\d\\d:\\d\\d/.test(document.querySelector('.readout').innerText)", "the last minute")
    page.press("ArrowRight")
    page.until("return document.querySelector('.bars .bar.on') !== null")
