"""A dead letter appears on its page and is replayed from there: one, then all with one cause."""

from collections.abc import Iterator

import pytest

from tests.browser.driving import Page, Server, running, wait_for

pytestmark = pytest.mark.browser

LOST = 4


@pytest.fixture(scope="module")
def losing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that soon concludes that FakeMail has lost an email."""
    with running(tmp_path_factory.mktemp("losing"), GONE_AFTER_S="1") as server:
        yield server


def test_lost_mail_is_replayed_one_and_then_the_rest_by_their_cause(losing: Server, browser: Page) -> None:
    server, page = losing, browser
    page.base = server.base
    page.size(1440)
    lost = server.lose(LOST)
    server.send("Nobody can hold this", id="n" * 600)  # another cause, which no replay cures
    wait_for(lambda: server.ask("GET", "/audit")["dead"] == LOST + 1, "the other dead letter", 60)

    page.open("dead")
    page.sees("FakeMail no longer has it", ".group")
    page.sees("Not a readable email", ".group")
    page.sees(f"All {LOST + 1}", ".split")
    for email_id in lost:  # FakeMail has them again
        server.send(f"Found again {email_id}", id=email_id)

    page.click(".group a", "FakeMail no longer has it")
    page.sees("FakeMail no longer has it", ".split h2")
    page.until(f"return document.querySelectorAll('[data-letter]').length === {LOST}")
    page.press("j")
    page.sees("not found at FakeMail for", ".letter .error")
    page.sees("Requested until it was clearly gone", ".letter")
    opened = page.text(".letter .facts a")
    page.click(".letter .button.solid", "Replay")
    page.sees("Replayed", ".toasts")
    assert server.processed(opened)["email_id"] == opened
    page.until(f"return document.querySelectorAll('[data-letter]').length === {LOST - 1}")

    page.click(".split .button", "Replay these")
    page.sees(f"Replay {LOST - 1} emails?", "dialog[open]")
    page.sees("“FakeMail no longer has it”", "dialog[open]")
    page.press("Escape")
    page.until("return !document.querySelector('dialog')")
    assert server.ask("GET", "/audit")["dead"] == LOST  # asking has changed nothing

    page.click(".split .button", "Replay these")
    page.click("dialog .button.solid", "Replay")
    page.sees(f"Replayed {LOST - 1} emails", ".toasts")
    for email_id in lost:
        server.processed(email_id)
    page.go("dead")
    page.sees("All 1", ".split")
    assert "FakeMail no longer has it" not in page.text(".groups")
    audit = server.ask("GET", "/audit")
    assert (audit["results"], audit["dead"], audit["unaccounted"]) == (LOST, 1, 0)
    assert page.faults() == []


def test_a_letter_whose_id_cannot_be_seen_has_a_link_with_a_name(losing: Server, browser: Page) -> None:
    server, page = losing, browser
    page.base = server.base
    server.lose(1, id="\u200b")
    page.open("dead")
    page.click("[data-letter] a", "blank id")
    page.sees("blank id", ".letter .facts a")
    assert page.faults() == []
