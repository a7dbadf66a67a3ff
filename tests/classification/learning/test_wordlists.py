"""The first list with a match wins, as the baseline is defined."""

import pytest

from classification.learning.wordlists import WordLists
from classification.model import Email


@pytest.mark.parametrize(
    ("body", "label"),
    [
        ("let us schedule a sale", "meeting"),
        ("a discount, hello", "promotion"),
        ("Greetings", "intro"),
        ("the rest", "unknown"),
    ],
)
def test_the_first_list_that_matches_wins(body, label):
    (answer,) = WordLists().classify([Email("", body)])
    assert answer.label == label
