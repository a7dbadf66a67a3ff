"""Mail, rules and webhooks with hostile text: on no page may a script run, a dialog open or the CSP be violated."""

from collections.abc import Iterator

import pytest

from tests.browser.driving import Page, Server, running, tab_on, wait_for

pytestmark = pytest.mark.browser

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "javascript:alert(1)",
    "{{constructor.constructor('alert(1)')()}}",
    "\u202egnp.exe \u0000 \ud83d\ude00 \u0301\u0301\u0301 zero\u200bwidth",
    "x" * 5000,
]
SCRIPTS = [text for text in HOSTILE if "alert" in text]
FORBIDDEN = "return document.querySelectorAll('main script, main img, main svg:not([aria-hidden]), main [onload], main [onerror], main [href^=\"javascript:\"]').length"
"""Whatever text could become if it were parsed as markup; our own drawings are hidden from screen readers."""


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server full of such texts, all of them in the review queue because a rule disagrees with the model."""
    with running(tmp_path_factory.mktemp("attacked")) as server:
        attack(server)
        yield server


def attack(server: Server) -> None:
    """Send all of that to the server."""
    said = {server.ask("POST", "/classify", {"subject": text, "body": text})["classification"] for text in HOSTILE}
    other = next(name for name in ("intro", "meeting", "promotion", "unknown") if name not in said)
    for text in SCRIPTS:
        conditions = [{"field": "body", "pattern": text}]
        server.ask("POST", "/rules", {"name": text, "conditions": conditions, "classification": other})
    server.ask("POST", "/rules", {"name": "all", "conditions": [{"field": "sender", "pattern": "@x.example"}], "classification": other})  # fmt: skip
    for number, text in enumerate(HOSTILE):
        server.processed(
            server.send(text, text, id=f"hostile {number} {text[:40]}", sender=f"{text[:200]} <a@x.example>")
        )
    server.send("An id that no mailbox can hold", id="<img src=x onerror=alert(2)>" * 30)
    server.ask("POST", "/subscriptions", {"url": "http://127.0.0.1:9/%3Cscript%3E?<b>", "description": HOSTILE[0]})
    wait_for(lambda: server.ask("GET", "/audit")["dead"] == 1, "the dead letter", 60)


@pytest.fixture
def page(browser: Page, attacked: Server) -> Iterator[Page]:
    """The browser on that server; afterwards none of the attacks may have worked."""
    with tab_on(browser, attacked.base) as page:
        yield page
        assert page.js(FORBIDDEN) == 0


def ids(server: Server) -> list[str]:
    return [item["email_id"] for item in server.ask("GET", "/results?limit=100")["items"]]


TURNING = r"""
const shown = [...document.querySelectorAll("main, main [title], main [aria-label]")];
const words = shown.map((node) => [node.textContent, node.title, node.getAttribute("aria-label")].join());
return /[\u202a-\u202e\u2066-\u2069]/.test(words.join())
"""
"""Whether a character that changes the writing direction is in the page's text or in a tooltip."""


@pytest.mark.parametrize(
    ("route", "subject"), [("now", ".feed-subject"), ("emails", ".row-subject"), ("review", ".row-subject")]
)
def test_no_mark_in_a_subject_turns_the_direction_of_writing_around_it(
    page: Page, attacked: Server, route: str, subject: str
) -> None:
    wait_for(lambda: attacked.ask("GET", "/review")["total"] >= len(HOSTILE), "the queue")
    page.open(route)
    page.sees("gnp.exe", subject)
    assert not page.js(TURNING)
    page.click(f"a:has({subject})", "gnp.exe")
    page.until("return document.querySelector('pre.body')?.textContent.includes('gnp.exe')")
    assert not page.js(TURNING)


def test_on_now_they_stay_text(page: Page, attacked: Server) -> None:
    page.open("now")
    page.until(f"return document.querySelectorAll('.feed [data-id]').length >= {len(HOSTILE)}")
    page.sees("<script>alert(1)</script>", ".feed-subject")
    page.sees("<img src=x onerror=alert(1)>", ".feed-sender")


def test_among_the_emails_they_stay_text_with_their_reasons_too(page: Page, attacked: Server) -> None:
    page.open("emails")
    page.until("return document.querySelectorAll('.row').length > 5")
    for email_id in ids(attacked):
        page.js("location.hash = '#/emails?source=main&id=' + encodeURIComponent(arguments[0])", email_id)
        shown = email_id.replace("\u202e", "")
        page.until("return document.querySelector('.detail .id')?.textContent === arguments[0]", value=shown)
        page.until("return document.querySelector('pre.body') !== null")
        assert page.js(FORBIDDEN) == 0
    page.press("w")
    page.until("return document.querySelector('.why') !== null")


def test_in_the_review_they_stay_text(page: Page, attacked: Server) -> None:
    wait_for(lambda: attacked.ask("GET", "/review")["total"] >= len(HOSTILE), "the queue")
    page.open("review")
    for email_id in ids(attacked):
        page.js("location.hash = '#/review?source=main&id=' + encodeURIComponent(arguments[0])", email_id)
        page.until(
            "return document.querySelector('.queue [aria-current]')?.dataset.review === arguments[0]", value=email_id
        )
        page.until("return document.querySelector('.triage pre.body') !== null")
        page.sees("A rule", ".opinions")
        assert page.js(FORBIDDEN) == 0
    page.press("3")
    page.sees("Marked as intro", ".toasts")
    page.press("z")
    page.sees("Undone", ".toasts")


@pytest.mark.parametrize(("route", "pane"), [("emails", ".detail"), ("review", ".triage")])
def test_a_long_subject_is_cut_and_can_be_read_to_its_end(page: Page, attacked: Server, route: str, pane: str) -> None:
    wait_for(lambda: attacked.ask("GET", "/review")["total"] >= len(HOSTILE), "the queue")
    subject = f"document.querySelector('{pane} .detail-subject')"
    page.open(route)
    page.js("location.hash = arguments[0]", f"#/{route}?source=main&id=hostile%206%20{'x' * 40}")
    page.until(f"return {subject}?.textContent.length > 1000", "the subject")
    page.until(f"return !document.querySelector('{pane} [data-whole]').hidden", "the way to the rest of it")
    assert page.js(f"return {subject}.clientHeight") < 150
    page.press("t")
    page.until(f"return {subject}.clientHeight > 300", "the whole subject")
    assert page.js(f"return {subject}.scrollHeight <= {subject}.clientHeight + 2")
    page.click(f"{pane} [data-whole]", "Shorten")
    page.until(f"return {subject}.clientHeight < 150", "a subject that is cut again")


def test_as_rules_they_stay_text_also_while_one_is_tried(page: Page, attacked: Server) -> None:
    page.open("rules")
    page.until(f"return document.querySelectorAll('.rules li').length === {len(SCRIPTS) + 1}")
    for text in SCRIPTS:
        page.sees(text, ".rule-words a")
        page.click(".rule-words a", text)
        page.until("return document.querySelector('#rule-name')?.value === arguments[0]", value=text)
        page.click("[data-test]")
        page.sees(text, ".examples a")
        assert page.js(FORBIDDEN) == 0
    page.click(".rule-form .button.danger", "Delete")
    page.sees(SCRIPTS[-1], "dialog[open]")
    page.press("Escape")
    page.until("return !document.querySelector('dialog')")


@pytest.mark.parametrize(
    ("route", "text"), [("dead", "<img src=x onerror=alert(2)>"), ("subscriptions", "<img src=x onerror=alert(1)>")]
)
def test_elsewhere_they_stay_text_too(page: Page, route: str, text: str) -> None:
    page.open(route)
    page.sees(text, "main")


def test_in_the_address_they_stay_text(page: Page) -> None:
    page.open("emails?q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&sender=%3Cscript%3Ealert(1)%3C/script%3E")
    page.sees("No matching emails", ".list")
    page.sees("<script>alert(1)</script>", ".chips")
    page.open("rules?id=new&sender=%22%3E%3Csvg%20onload%3Dalert(1)%3E")
    page.until("return document.querySelector('.condition input')?.value.includes('onload')")
