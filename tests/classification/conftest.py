"""One loaded classifier for all tests in this folder."""

import pytest

from classification.model import Classifier


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier.load()
