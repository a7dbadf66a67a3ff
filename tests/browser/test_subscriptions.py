"""Outgoing webhooks on their page: creation, the secret shown once, test, deliveries, rotation, deletion."""

from collections.abc import Iterator

import pytest

from tests.actors.receiver import Receiver
from tests.browser.driving import Page, Server, wait_for

pytestmark = pytest.mark.browser


@pytest.fixture
def receiver(server: Server) -> Iterator[Receiver]:
    """A receiver of webhooks, on a server that has no subscriptions before and after the test."""
    forget_all(server)
    with Receiver() as listening:
        yield listening
    forget_all(server)


def forget_all(server: Server) -> None:
    for each in server.ask("GET", "/subscriptions")["items"]:
        server.ask("DELETE", f"/subscriptions/{each['id']}")


def make(page: Page, url: str) -> str:
    """Fill in the form; return the secret that is shown."""
    page.until("return document.querySelector('#hook-url') !== null")
    page.js("document.querySelector('#hook-url').value = arguments[0]", url)
    page.click(".rule-form .button.solid", "Create")
    secret = page.until("return document.querySelector('dialog [data-secret]')?.textContent", "the secret")
    page.click("dialog .button.solid", "I have saved it")
    return str(secret)


def test_a_webhook_is_made_tested_followed_and_deleted(page: Page, server: Server, receiver: Receiver) -> None:
    page.open("subscriptions")
    page.sees("No webhooks yet", "main")
    assert page.text(".letter") == ""
    page.press("n")
    secret = make(page, receiver.url)
    assert secret.startswith("whsec_")
    page.until("return document.querySelector('.hooks [aria-current]') !== null")
    assert secret not in page.js("return document.documentElement.innerHTML")
    page.click(".letter .button.solid", "Send a test message")
    page.sees("Delivered: status 204", ".toasts")
    page.sees("test", ".letter tbody")
    server.processed(server.send("For the webhook"))
    page.sees("process", ".letter tbody")
    page.sees("1 delivered", ".hooks")
    page.open("subscriptions")
    page.sees("Select a webhook", ".letter")
    page.click(".hooks a")
    page.click(".letter .button.danger", "Delete")
    page.click("dialog .button.danger", "Delete")
    page.sees("No webhooks yet", "main")
    page.until("return document.querySelector('.letter').innerText === ''", "an empty pane")


def test_the_log_shows_what_was_refused_and_that_it_comes_again(page: Page, server: Server, receiver: Receiver) -> None:
    receiver.answer = lambda _: 500
    server.ask("POST", "/subscriptions", {"url": receiver.url, "events": ["process"]})
    server.processed(server.send("Refused at first"))
    page.open("subscriptions")
    page.sees("failing", ".hooks")
    page.click(".hooks a")
    page.sees("status 500", ".letter tbody")
    page.sees("Failing since", ".hook-state")
    page.sees("Next automatic try", ".hook-state")
    receiver.answer = lambda _: 204
    page.click(".letter .button", "Try now")
    page.sees("active", ".hooks")
    page.sees("204", ".letter tbody")


def test_a_new_secret_is_shown_once_and_the_old_one_goes_on_for_a_while(
    page: Page, server: Server, receiver: Receiver
) -> None:
    made = server.ask("POST", "/subscriptions", {"url": receiver.url})
    page.open(f"subscriptions?id={made['id']}")
    page.click(".letter .button", "New secret")
    page.click("dialog .button.solid", "Create")
    secret = page.until("return document.querySelector('dialog [data-secret]')?.textContent")
    assert secret != made["secret"]
    page.click("dialog .button.solid", "I have saved it")
    page.sees("Old secret valid until", ".hook-state")
    page.click(".letter .button.solid", "Send a test message")
    page.sees("Delivered", ".toasts")
    wait_for(lambda: bool(receiver.taken), "the test message")
    assert len(receiver.taken[-1].headers["webhook-signature"].split()) == 2


@pytest.mark.parametrize("width", [1440, 390])
def test_a_very_long_url_and_name_stay_within_their_place(
    page: Page, server: Server, receiver: Receiver, width: int
) -> None:
    url = f"{receiver.url}?{'q' * 1_900}"
    made = server.ask("POST", "/subscriptions", {"url": url, "description": "d" * 200})
    page.size(width)
    page.open("subscriptions")
    page.sees("ddd", ".hooks")
    assert page.js("return document.querySelector('.hooks li').offsetHeight") < 250
    page.go(f"subscriptions?id={made['id']}")
    page.sees("Nothing has been sent to it yet", ".letter")
    assert page.js("return document.querySelector('.letter > header').offsetHeight") < 100
    assert page.js("const m = document.getElementById('main'); return m.scrollWidth <= m.clientWidth")


def test_a_url_that_may_not_be_called_is_said_at_the_url(page: Page, receiver: Receiver) -> None:
    page.open("subscriptions?id=new")
    page.until("return document.querySelector('#hook-url') !== null")
    page.js("document.querySelector('#hook-url').value = 'ftp://example.com/'")
    page.click(".rule-form .button.solid", "Create")
    page.until("return document.querySelector('#hook-url[aria-invalid]') !== null")
    assert page.text(".rule-form .field-error")
    assert receiver.received == []
