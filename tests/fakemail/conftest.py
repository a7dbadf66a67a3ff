"""A simulator behind a real server, for the tests of this room."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from fakemail.client import FakeMailClient
from fakemail.simulator import Simulator, open_simulator
from fakemail.simulator_http import simulator_app
from tests.fakemail.serving import serving


class Running(NamedTuple):
    """A simulator that answers over HTTP, with and without the prefix."""

    simulator: Simulator
    url: str
    http: requests.Session
    client: FakeMailClient

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer that must be a 200."""
        response = self.http.request(method, self.url + path, json=body, timeout=10)
        assert response.status_code == 200, response.text
        return response.json()

    def send(self, subject: str = "s", body: str = "b", **fields: Any) -> str:
        """Send one email; its id."""
        return str(self.ask("POST", "/simulator/send_email", {"subject": subject, "body": body} | fields)["email_id"])


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    simulator = open_simulator(tmp_path, "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=")
    try:
        with serving(simulator_app(simulator, bare=True)) as url, requests.Session() as http:
            http.trust_env = False
            client = FakeMailClient(url)
            yield Running(simulator, url, http, client)
            client.close()
    finally:
        simulator.close()
