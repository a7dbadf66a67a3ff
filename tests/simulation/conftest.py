"""One in-memory database for all seeds."""

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.parts import MemoryDatabase


@pytest.fixture(scope="session")
def database() -> MemoryDatabase:
    return MemoryDatabase()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """FailureDetector the log: thousands of crashes are expected here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
