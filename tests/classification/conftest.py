"""One loaded classifier for all tests of this room."""

import pytest

from classification.model import Classifier


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier.load()
