"""The result can be encoded, sound text is unchanged, and separated surrogate pairs are joined."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.unicode import LONGEST_RUN, normalized, whole, whole_json

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


@given(
    st.text(st.sampled_from("ae \u0301\u0316\u0f73\u1100\u1161\u11a8\uac00\u00e9\uff21\ufb01"), max_size=LONGEST_RUN)
)
@pytest.mark.parametrize("form", ["NFKC", "NFKD"])
def test_a_normal_form_is_unicodes_where_no_row_is_long(form, text):
    assert normalized(form, text) == unicodedata.normalize(form, text)
    assert normalized(form, f"{text} " * 3) == unicodedata.normalize(form, f"{text} " * 3)


@pytest.mark.parametrize("form", ["NFKC", "NFKD"])
def test_letters_in_a_long_row_keep_their_normal_form(form):
    row = "\u304b\u6f22\uff21\u00e9" * 200
    assert normalized(form, row) == unicodedata.normalize(form, row)


@pytest.mark.parametrize("form", ["NFKC", "NFKD"])
def test_marks_in_disorder_take_no_longer_than_others(form):
    began = time.monotonic()
    normalized(form, "a" + "\u0301\u0316" * 100_000)  # quadratic time would take over a minute
    assert time.monotonic() - began < 20
