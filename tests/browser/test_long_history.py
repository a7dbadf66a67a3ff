"""With 100,000 stored emails the list opens within 300 ms, scrolls without end, and can be searched and filtered."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.driving import Page, Server
from tests.browser.filling import fill

pytestmark = pytest.mark.browser

STORED = 100_000
OPENS_WITHIN_MS = 300
TRIES = 5
OPEN = """
const [route, done] = arguments;
const began = performance.now();
const look = () => {
  if (document.querySelectorAll(".rows .row").length > 5) requestAnimationFrame(() => done(performance.now() - began));
  else setTimeout(look, 2);
};
location.hash = route;
look();
"""
"""Follow a link to the list; return the milliseconds until its rows are painted."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running system with that many emails."""
    server = Server(tmp_path_factory.mktemp("long"))
    server.start()
    server.stop()
    fill(Path(server.folder) / "data" / "emails.db", STORED)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def long(browser: Page, filled: Server) -> Iterator[Page]:
    """The browser on that server."""
    browser.base = filled.base
    browser.size(1440)
    yield browser
    assert browser.faults() == []


def opening_ms(page: Page, route: str) -> float:
    """Return the best time for opening the list from the page before: another process may have used the processor."""
    taken = []
    for _ in range(TRIES):
        page.open("books")
        page.sees("Balanced", "main")
        page.until("return import('/static/js/pages/emails.js').then(() => true)")
        taken.append(float(page.driver.execute_async_script(OPEN, f"#/{route}")))
    return min(taken)


def test_the_list_opens_within_300_milliseconds(long: Page) -> None:
    assert opening_ms(long, "emails") < OPENS_WITHIN_MS


@pytest.mark.parametrize("query", ["classification=intro", "q=harbour+invoice", "sender=person500%40example.com"])
def test_it_opens_so_with_a_filter_or_a_search_too(long: Page, query: str) -> None:
    assert opening_ms(long, f"emails?{query}") < OPENS_WITHIN_MS


def test_it_scrolls_on_through_thousands_with_few_elements(long: Page) -> None:
    long.open("emails")
    long.until("return document.querySelectorAll('.row').length > 5")
    long.until(
        "const list = document.querySelector('.rows-scroll'); list.scrollTop = list.scrollHeight;"
        "return [...document.querySelectorAll('.rows li')].some((row) => Number(row.getAttribute('aria-posinset')) >= 3000)",
        "the 3,000th email",
        60,
    )
    assert long.js("return document.querySelectorAll('.row').length") < 60


def test_the_past_is_reached_by_date(long: Page) -> None:
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 15 * 86_400))
    long.open(f"emails?q=before:{day}")
    long.until("return document.querySelectorAll('.row').length > 5")
    newest = long.js("return document.querySelector('.row time').getAttribute('datetime')")
    assert newest[:10] < day


def test_new_mail_comes_in_at_the_top_all_the_same(long: Page, filled: Server) -> None:
    long.open("emails")
    long.until("return document.querySelectorAll('.row').length > 5")
    email_id = filled.send("On top of a long history")
    long.until(f'return document.querySelector(\'.rows li[aria-posinset="1"] [data-id="{email_id}"]\') !== null')


def test_figures_books_and_now_are_right_with_so_many(long: Page, filled: Server) -> None:
    audit = filled.ask("GET", "/audit")
    assert audit["results"] >= STORED
    long.open("books")
    long.sees("Balanced.", ".balance")
    long.sees(f"{audit['listed']:,}", ".ledger")
    long.go("now")
    long.sees("100K in total", ".figures")
