"""One browser and one server for all browser tests; a test that kills or fills a server starts its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.driving import Page, Server, chromium, installed, running, tab_on
from tests.conftest import missing


@pytest.fixture(scope="session")
def browser() -> Iterator[Page]:
    """A Chromium."""
    if not installed():
        missing("Chromium with its driver (apt-get install chromium chromium-driver)")
    with chromium() as page:
        yield page


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running system with its own simulator and a few emails."""
    with running(tmp_path_factory.mktemp("browser")) as server:
        _fill(server)
        yield server


def _fill(server: Server) -> None:
    emails = server.ask("GET", "/simulator/template-emails")["emails"]
    plain = [{name: value for name, value in email.items() if name != "expected"} for email in emails]
    ids = server.ask("POST", "/simulator/send_batch", {"emails": plain})["email_ids"]
    for email_id in ids:
        server.processed(email_id)


@pytest.fixture
def page(browser: Page, server: Server) -> Iterator[Page]:
    """The browser, on that server."""
    with tab_on(browser, server.base) as page:
        yield page


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server for this test alone, not started yet."""
    server = Server(tmp_path)
    yield server
    server.stop()
