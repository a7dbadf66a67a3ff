"""Every page opens, light and dark, wide and narrow, without script errors, CSP violations or accessibility faults."""

import itertools
from collections.abc import Iterator

import pytest

from tests.browser.accessibility import serious_faults
from tests.browser.driving import Page, Server

pytestmark = pytest.mark.browser

PAGES = {
    "now": "Last two minutes",
    "emails": "meeting",
    "review": "Review",
    "rules": "Rules",
    "models": "Versions",
    "subscriptions": "Webhooks",
    "actors": "Mailboxes",
    "dead": "Dead letters",
    "books": "Balanced",
    "simulator": "Send a burst",
}


@pytest.mark.parametrize("route", PAGES)
def test_a_page_opens_and_says_what_it_is_about(page: Page, route: str) -> None:
    page.open(route)
    page.sees(PAGES[route], "main")
    assert page.js("return document.querySelectorAll('main h1').length") == 1
    assert page.text('.rail a[aria-current="page"]')


@pytest.mark.parametrize("route", PAGES)
def test_no_serious_accessibility_fault_in_light_or_dark_wide_or_narrow(page: Page, route: str) -> None:
    page.open(route)
    page.sees(PAGES[route], "main")
    page.until("return document.querySelector('main [aria-busy]') === null", "the end of loading")
    for width in (1440, 390):
        page.size(width)
        for theme in ("light", "dark"):
            page.theme(theme)
            page.until(f"return document.documentElement.dataset.theme === '{theme}'")
            assert serious_faults(page) == [], (width, theme)


@pytest.mark.parametrize("route", PAGES)
def test_a_phone_scrolls_in_one_direction_only(page: Page, route: str) -> None:
    page.size(390, 844)
    page.open(route)
    page.sees(PAGES[route], "main")
    assert page.js(
        "const m = document.getElementById('main'); return m.scrollWidth <= m.clientWidth && document.documentElement.scrollWidth <= 390"
    )
    assert page.js("return document.documentElement.scrollHeight") <= 844, "the page scrolls, not the window"


WHOLE = """
return [...document.querySelectorAll(".rail-bar span:not(.badge)")].map((name) => {
  const box = name.getBoundingClientRect();
  const inside = box.left >= 0 && box.right <= innerWidth && box.bottom <= innerHeight;
  return inside && name.scrollWidth <= name.closest("a, button").clientWidth ? name.textContent : "cut";
});
"""
"""The readable names in a phone's navigation bar."""

MANY_DEAD = """
return import("/static/js/state.js").then(({ shared }) => {
  shared.set("stats", { ...shared.stats, dead_letters: 12_400 });
  const badge = document.querySelector(".rail-bar [data-badge=dead]");
  const box = badge.getBoundingClientRect();
  const seen = box.width > 0 && box.left >= 0 && box.right <= innerWidth && box.top >= 0 && box.bottom <= innerHeight;
  return [badge.innerText, seen];
});
"""
"""Read in the same script: the server's own figures may arrive at any moment and overwrite these."""


@pytest.mark.parametrize("width", [320, 360, 390])
def test_a_phone_has_four_pages_in_its_bar_with_whole_names_and_the_rest_behind_more(page: Page, width: int) -> None:
    page.size(width, 740)
    page.open("now")
    page.until("return import('/static/js/state.js').then(({ shared }) => shared.stats !== null)")
    assert page.js(WHOLE) == ["Now", "Emails", "Review", "Dead letters", "More"]
    assert page.js(MANY_DEAD) == ["12.4K", True]
    page.click(".rail-bar button", "More")
    page.click("#rail-more a", "Books")
    page.sees("Balanced", "main")
    assert page.js("return document.getElementById('rail-more').hidden")
    assert page.js("return document.querySelector('.rail-bar button').classList.contains('here')")


@pytest.mark.parametrize("width", [1440, 1024])
def test_the_rail_has_room_for_many_dead_letters(page: Page, width: int) -> None:
    page.size(width)
    page.open("books")
    page.until("return import('/static/js/state.js').then(({ shared }) => shared.stats !== null)")
    crowded = """
    return import("/static/js/state.js").then(({ shared }) => {
      shared.set("stats", { ...shared.stats, dead_letters: 4567 });
      const link = document.querySelector(".rail-wide [data-page=dead]");
      const badge = link.querySelector(".badge").getBoundingClientRect();
      const rail = document.getElementById("rail").getBoundingClientRect();
      return [link.scrollHeight > link.clientHeight, badge.right > rail.right, link.querySelector("span").innerText];
    });
    """
    assert page.js(crowded) == [False, False, "Dead letters"]


def test_more_is_opened_and_closed_by_keys(page: Page) -> None:
    page.size(360, 740)
    page.open("now")
    page.sees("Last two minutes", "main")
    page.js("document.querySelector('.rail-bar button').focus()")
    page.press("Enter")
    page.until("return !document.getElementById('rail-more').hidden", "the other pages")
    assert serious_faults(page) == []
    page.press("Tab")
    page.until("return document.activeElement.closest('#rail-more') !== null", "the first of them, one Tab away")
    page.press("Escape")
    page.until("return document.getElementById('rail-more').hidden")
    assert page.js("return document.activeElement.textContent") == "More"


def test_the_axis_of_the_last_hour_is_marked_at_its_quarters(page: Page) -> None:
    page.open("now")
    marks = page.until("return [...document.querySelectorAll('.bars-axis span')].map((mark) => mark.textContent)")
    assert 3 <= len(marks) <= 4
    assert {mark[-2:] for mark in marks} <= {"00", "15", "30", "45"}
    middles = "return [...document.querySelectorAll('.bars-axis span')].map((mark) => { const { left, right } = mark.getBoundingClientRect(); return (left + right) / 2 })"
    distances = {round(later - earlier) for earlier, later in itertools.pairwise(page.js(middles))}
    assert max(distances) - min(distances) <= 1


def test_an_example_in_an_empty_field_can_be_read_in_the_dark(page: Page) -> None:
    page.theme("dark")
    page.open("rules?id=new")
    page.sees("New rule", ".rule-form h2")
    colours = "return [...document.querySelectorAll('.condition input')].map((field) => getComputedStyle(field, '::placeholder').color)"
    assert page.js(colours) == [page.js("return getComputedStyle(document.querySelector('.quiet')).color")]


def test_a_phone_shows_whole_choices_in_the_form_of_a_rule(page: Page) -> None:
    page.size(390, 844)
    page.open("rules?id=new")
    page.sees("New rule", ".rule-form h2")
    widths = "return [...document.querySelectorAll('.rule-gives select')].map((field) => field.clientWidth)"
    assert min(page.js(widths)) > 250


def test_the_choice_of_colours_is_kept(page: Page) -> None:
    page.open("now")
    assert page.js("return document.documentElement.dataset.theme") == "light"
    page.click("#theme")
    page.click("#theme")
    assert page.js("return document.documentElement.dataset.theme") == "dark"
    page.open("books")
    assert page.js("return document.documentElement.dataset.theme") == "dark"
    page.js("localStorage.clear()")


def test_an_unknown_address_leads_to_now(page: Page) -> None:
    page.open("nonsense?x=1")
    page.sees("Last two minutes", "main")
    assert page.js("return location.hash") == "#/now"


def test_the_first_load_is_small(page: Page) -> None:
    page.open("now")
    page.sees("Newest", "main")
    entries = page.js("return performance.getEntriesByType('resource').map((e) => [e.name, e.transferSize])")
    files = [size for name, size in entries if "/static/" in name]
    assert len(files) <= 25
    assert sum(files) < 120_000


def test_a_question_mark_lists_the_keys_and_escape_closes_the_list(page: Page) -> None:
    page.open("emails")
    page.until("return document.querySelector('.row') !== null")
    page.press("?")
    page.sees("Next email", "dialog[open]")
    page.press("Escape")
    page.until("return !document.querySelector('dialog')")


def test_single_keys_can_be_switched_off(page: Page) -> None:
    page.open("now")
    page.js("localStorage.setItem('keys-off', '1')")
    page.press("g", "b")
    page.press("?")
    assert page.js("return location.hash") == "#/now"
    assert page.js("return document.querySelector('dialog')") is None
    page.js("localStorage.clear()")


def test_g_and_a_letter_go_to_a_page(page: Page, server: Server) -> None:
    page.open("now")
    page.press("g", "b")
    page.sees("Balanced", "main")
    page.press("g", "s")
    page.sees("Send a burst", "main")


FAINT_FIELDS = """
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (colour) => {
  const [r, g, b] = rgb(colour).map((part) => part / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (node) => {
  const colour = getComputedStyle(node).backgroundColor;
  return rgb(colour)[3] === 0 ? ground(node.parentElement) : colour;
};
const against = (one, other) => {
  const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
const fields = [...document.querySelectorAll("input, select, textarea, .segments")]
  .filter((node) => node.checkVisibility() && !["checkbox", "range"].includes(node.type) && node !== document.activeElement);
return [fields.length, fields
  .map((node) => [node.id || node.name || node.className, getComputedStyle(node).borderTopColor, node])
  .filter(([, line, node]) => against(line, ground(node)) < 3 || against(line, ground(node.parentElement)) < 3)
  .map(([name, line]) => `${name} ${line}`)];
"""
"""How many fields are visible, and those whose edge has too little contrast inside or outside (WCAG 1.4.11)."""


@pytest.mark.parametrize("route", ["now", "emails", "simulator", "rules?id=new", "subscriptions?id=new", "actors"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_edge_of_a_field_is_seen(page: Page, route: str, theme: str) -> None:
    page.theme(theme)
    page.open(route)
    page.until("return document.querySelectorAll('input, select, textarea, .segments').length > 1")
    page.until("return document.querySelector('main [aria-busy]') === null", "the end of loading")
    number, faint = page.js(FAINT_FIELDS)
    assert number > 1
    assert faint == []


@pytest.fixture
def large_text(page: Page) -> Iterator[Page]:
    """A browser that shows text at twice the usual size."""
    page.driver.execute_cdp_cmd("Page.setFontSizes", {"fontSizes": {"standard": 32, "fixed": 26}})
    yield page
    page.driver.execute_cdp_cmd("Page.setFontSizes", {"fontSizes": {"standard": 16, "fixed": 13}})


@pytest.mark.parametrize("route", PAGES)
def test_text_of_twice_the_size_finds_room(large_text: Page, route: str) -> None:
    page = large_text
    page.open(route)
    page.sees(PAGES[route], "main")
    page.until("return document.querySelector('main [aria-busy]') === null", "the end of loading")
    assert page.js("return getComputedStyle(document.documentElement).fontSize") == "32px"
    assert page.js("const m = document.getElementById('main'); return m.scrollWidth <= m.clientWidth")
    clear = """
    const rows = [...document.querySelectorAll(".row")].map((row) => [row.parentElement, row]);
    return rows.every(([place, row]) => [...row.querySelectorAll("span")].every((words) =>
      words.getBoundingClientRect().bottom <= place.getBoundingClientRect().bottom));
    """
    assert page.js(clear), "no row reaches into the next"


def test_what_can_be_copied_has_no_button_where_browsers_do_not_allow_it(page: Page) -> None:
    """They have no clipboard in a page that came over plain HTTP from another machine."""
    page.open("now")
    page.js("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.go("models")
    page.sees("train --from-feedback", ".command")
    assert page.js("return document.querySelector('.command button')") is None
