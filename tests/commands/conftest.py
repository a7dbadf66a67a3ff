"""Fixtures for the tests of the commands."""

from collections.abc import Iterator

import pytest

from tests.commands.http_server import SmallServer


@pytest.fixture
def small_server() -> Iterator[SmallServer]:
    """A real HTTP server on a free port."""
    server = SmallServer()
    yield server
    server.stop()
