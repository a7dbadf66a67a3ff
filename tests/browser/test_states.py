"""What each page shows while it is empty, while it waits for an answer, and when the server cannot be reached."""

from collections.abc import Iterator

import pytest

from engine.listening import free_port
from tests.browser.accessibility import serious_faults
from tests.browser.driving import Page, Server, running, tab_on

pytestmark = pytest.mark.browser

EMPTY = {
    "now": "Nothing has been classified yet",
    "emails": "No emails yet",
    "review": "Nothing to review",
    "rules": "No rules yet",
    "models": "No shadow model is running beside the live one",
    "subscriptions": "No webhooks yet",
    "actors": "classifier-1",
    "dead": "No dead letters",
    "books": "Everything that was listed is accounted for",
    "simulator": "0 emails in the account",
}
"""What each page shows before the first email; there are always actors."""

NEVER_BLANK = ["now"]
"""Pages that keep their content and have no retry button, because they retry by themselves."""

HOLD = """
const real = window.fetch, held = [];
window.fetch = (...call) => new Promise((resolve, reject) => held.push(() => real(...call).then(resolve, reject)));
window.__release = () => { window.fetch = real; held.forEach((go) => go()); };
"""
REFUSE = """
const real = window.fetch;
window.fetch = () => Promise.reject(new TypeError("refused"));
window.__release = () => { window.fetch = real; };
"""
WAITS = "return document.querySelector('main [aria-busy]')?.innerText.includes('Loading')"
WAITS_NO_MORE = "return document.querySelector('main [aria-busy]') === null"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has never seen an email."""
    with running(tmp_path_factory.mktemp("fresh")) as server:
        yield server


@pytest.fixture
def empty(browser: Page, fresh: Server) -> Iterator[Page]:
    """The browser on that server."""
    with tab_on(browser, fresh.base) as page:
        yield page


@pytest.mark.parametrize("route", EMPTY)
def test_a_page_with_nothing_on_it_says_so(empty: Page, route: str) -> None:
    empty.open(route)
    empty.sees(EMPTY[route], "main")
    empty.until(WAITS_NO_MORE, "the end of loading")
    assert serious_faults(empty) == []


def test_nothing_to_review_takes_the_whole_page_and_tells_what_would_come(empty: Page) -> None:
    empty.open("review")
    empty.sees("when the model is unsure", "main .state")
    wide = empty.js(
        "return document.querySelector('main .state').clientWidth / document.querySelector('.review').clientWidth"
    )
    assert wide > 0.9


@pytest.mark.parametrize("route", EMPTY)
def test_a_page_that_waits_for_an_answer_says_so_until_it_comes(empty: Page, route: str) -> None:
    elsewhere(empty, route)
    empty.js(HOLD)
    empty.go(route)
    empty.until(WAITS, "the word that it is loading")
    assert EMPTY[route] not in empty.text()
    empty.js("__release()")
    empty.sees(EMPTY[route], "main")
    empty.until(WAITS_NO_MORE, "the end of loading")


@pytest.mark.parametrize("route", EMPTY)
def test_a_page_that_cannot_be_filled_says_why_and_tries_again(empty: Page, route: str) -> None:
    elsewhere(empty, route)
    empty.js(REFUSE)
    empty.go(route)
    if route in NEVER_BLANK:
        empty.until(WAITS)
        empty.js("__release()")
    else:
        empty.sees("The server cannot be reached", "main [role=alert]")
        assert EMPTY[route] not in empty.text()
        empty.js("__release()")
        empty.click("main [role=alert] .button", "Try again")
    empty.sees(EMPTY[route], "main")


def elsewhere(page: Page, route: str) -> None:
    """Go to another page, and wait until the module of `route` is loaded."""
    other = "books" if route != "books" else "rules"
    page.open(other)
    page.sees(EMPTY[other], "main")
    page.until(f"return import('/static/js/pages/{route}.js').then(() => true)")


def test_a_page_opened_while_the_server_is_away_fills_by_itself_when_it_is_back(empty: Page, fresh: Server) -> None:
    elsewhere(empty, "dead")
    fresh.kill()
    empty.sees("Connection lost", ".banners")
    empty.go("dead")
    empty.sees("The server cannot be reached", "main [role=alert]")
    fresh.start()
    empty.sees("No dead letters", "main", 60)
    empty.until("return !document.querySelector('[data-banner=offline]')")


def test_now_says_what_does_not_answer_only_as_long_as_it_does_not(empty: Page, fresh: Server) -> None:
    empty.open("now")
    empty.sees("all healthy", ".now-side", 60)
    empty.until("return document.querySelector('.notice') === null")
    fresh.ask("PUT", "/simulator/faults", {"error_rate": 1})
    empty.sees("FakeMail is not responding properly", ".notice strong", 60)
    fresh.ask("DELETE", "/simulator/faults")
    empty.until("return document.querySelector('.notice') === null", "the end of the notice", 90)


def test_what_waits_for_its_next_try_has_no_age_and_is_said_to_wait_for_that(empty: Page) -> None:
    empty.open("now")
    empty.sees(EMPTY["now"], "main")
    waits = "{ ...shared.stats, queue_depth: 60, oldest_queued_age_seconds: null, retry_count: 7 }"
    show = f"import('/static/js/state.js').then(({{ shared }}) => shared.set('stats', {waits}))"
    told = "['all waiting to retry', 'postponed 7 times'].every((words) => figures.includes(words))"
    # Read in one script: the server's own figures may arrive at any moment and overwrite these.
    empty.until(f"{show}; const figures = document.querySelector('.figures').innerText; return {told}")


def test_where_a_real_fakemail_is_followed_there_is_no_simulator_and_its_absence_is_told(
    own_server: Server, browser: Page
) -> None:
    own_server.settings["FAKEMAIL_API_URL"] = f"http://127.0.0.1:{free_port()}"
    own_server.start()
    browser.base = own_server.base
    browser.size(1440)
    browser.open("simulator")
    browser.sees("There is no simulator here", "main")
    browser.go("now")
    browser.sees("FakeMail is not responding properly", ".notice strong", 60)
    browser.until(r"return /^Since \d\d:\d\d:\d\d: FakeMail/.test(document.querySelector('.notice strong').innerText)")
    browser.sees("Nothing is lost, and work resumes by itself", ".notice")
    assert serious_faults(browser) == []
    browser.sees("FakeMail", ".health .trouble", 60)
    browser.sees("degraded", ".now-side")
    assert browser.faults() == []


def test_each_component_in_trouble_is_named_in_a_sentence_with_its_account(page: Page) -> None:
    page.open("books")
    page.sees("Balanced", "main")
    told = """
    return import("/static/js/banners.js").then(({ showHealth }) => {
      const bad = (more = {}) => ({ status: "unhealthy", ...more });
      const sources = { work: { status: "unhealthy" }, home: { status: "healthy" } };
      showHealth({ status: "degraded", components: { fakemail: bad({ sources }), actors: bad() } });
      return document.querySelector("[data-banner=unwell] strong").innerText;
    });
    """
    assert page.js(told) == ("FakeMail is not responding properly (work). Some actors are not working properly.")


def test_what_is_in_trouble_is_told_on_every_page_but_the_one_that_says_more(page: Page, server: Server) -> None:
    page.open("emails")
    page.js(
        """
        const part = (status) => ({ status, latency_ms: 1 });
        const components = { redis: part("healthy"), database: part("unhealthy"), fakemail: part("healthy") };
        const real = window.fetch;
        window.fetch = async (url, ...more) => String(url).endsWith("/health")
          ? new Response(JSON.stringify({ status: "degraded", components }), { status: 200 })
          : real(url, ...more);
        """
    )
    page.sees("The database is not working properly. Mail waits in the meantime; none is lost.", ".banners", 15)
    assert page.js("return document.querySelector('[data-banner=unwell]').role") == "alert"
    page.size(390, 844)
    beside = "const [words, link] = document.querySelector('[data-banner=unwell]').children; return link.getBoundingClientRect().left >= words.getBoundingClientRect().right"
    assert page.js(beside), "no line of its own on a phone"
    assert page.js("return document.getElementById('link').classList.contains('unwell')")
    page.go("now")
    page.until("return getComputedStyle(document.querySelector('[data-banner=unwell]')).display === 'none'")
    page.js("location.reload()")
    page.until("return document.querySelector('.page-now') && !document.querySelector('[data-banner=unwell]')")
