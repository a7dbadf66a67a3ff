"""What comes out can be encoded, what was sound stays as it is, and pairs that came apart are joined."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.unicode import whole, whole_json

ANY_TEXT = st.text(st.characters(categories=["Cs", "L", "N"]) | st.sampled_from(["\ud83d", "\ude00", "\0", "a"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("snow ☃ and \U0001f600", "snow ☃ and \U0001f600"),
        ("a\ud800b", "a\ufffdb"),
        ("\udc80", "\ufffd"),
        ("end\ud83d", "end\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
    ],
)
def test_half_a_pair_becomes_the_replacement_character(text, expected):
    assert whole(text) == expected


@given(ANY_TEXT)
def test_it_can_always_be_encoded_and_is_done_after_once(text):
    once = whole(text)
    once.encode()
    assert whole(once) == once


def test_names_and_texts_at_any_depth_are_mended():
    value = {"\ud800": ["\ud800", {"x": "\udc80"}, 1, None, True]}
    assert whole_json(value) == {"\ufffd": ["\ufffd", {"x": "\ufffd"}, 1, None, True]}
