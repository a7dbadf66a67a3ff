"""A simulator behind a real server, for the tests in this folder."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import requests

from fakemail.client import FakeMailClient
from fakemail.faults import NONE
from fakemail.simulator import Simulator, open_simulator
from fakemail.simulator_http import simulator_app
from tests.fakemail.serving import serving


class Running(NamedTuple):
    """A simulator that answers over HTTP, with and without the /simulator prefix."""

    simulator: Simulator
    url: str
    http: requests.Session
    client: FakeMailClient

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON of an answer that must be a 200."""
        response = self.http.request(method, self.url + path, json=body, timeout=10)
        assert response.status_code == 200, response.text
        return response.json()

    def send(self, subject: str = "s", body: str = "b", **fields: Any) -> str:
        """Send one email; return its id."""
        return str(self.ask("POST", "/simulator/send_email", {"subject": subject, "body": body} | fields)["email_id"])


@pytest.fixture(scope="module")
def _started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    simulator = open_simulator(tmp_path_factory.mktemp("simulator"), ("whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=",))
    try:
        with serving(simulator_app(simulator, bare=True)) as url, requests.Session() as http:
            http.trust_env = False
            yield Running(simulator, url, http, FakeMailClient(url))
    finally:
        simulator.close()


@pytest.fixture
def running(_started: Running) -> Iterator[Running]:
    """An empty account without subscribers and faults; opening a new file for each test would take most of the time."""
    _started.simulator.set_faults(NONE)
    _started.simulator.reset()
    _started.simulator._notifier.stop()
    fresh = _started._replace(client=FakeMailClient(_started.url))
    yield fresh
    fresh.client.close()
