"""RFC 3339 timestamps: exact to the millisecond when parsed, sorted like the times, and never in the future."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.timestamps import timestamp

FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
FIRST, LAST = -62_135_596_800, 253_402_300_799  # the years 1 and 9999, the range of RFC 3339
UNTIL_2100 = 4_102_444_800


def text_of(at: float) -> str:
    text = timestamp(at)
    assert text is not None
    return text


def read_again(at: float) -> datetime:
    return datetime.fromisoformat(text_of(at))


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (None, None),
        (0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_001.9999998, "2023-11-14T22:13:22.000Z"),
        (1_700_000_001.999999, "2023-11-14T22:13:21.999Z"),
        (1_700_000_001.123, "2023-11-14T22:13:21.123Z"),
        (-0.001, "1969-12-31T23:59:59.999Z"),
        (FIRST, "0001-01-01T00:00:00.000Z"),
        (LAST, "9999-12-31T23:59:59.000Z"),
    ],
)
def test_a_moment_is_told_in_utc_with_milliseconds(at, text):
    assert timestamp(at) == text


@given(st.integers(0, UNTIL_2100 * 1000))
def test_a_whole_millisecond_is_told_as_it_is(milliseconds):
    assert read_again(milliseconds / 1000).timestamp() == milliseconds / 1000


@given(st.floats(0, UNTIL_2100))
def test_what_is_told_is_at_most_a_millisecond_ago_and_not_in_the_future(at):
    assert -1e-6 < at - read_again(at).timestamp() < 0.001


@given(st.floats(FIRST, LAST), st.floats(FIRST, LAST))
def test_later_moments_are_told_later_as_text_too(one, other):
    earlier, later = sorted((one, other))
    assert text_of(earlier) <= text_of(later)


@given(st.floats(FIRST, LAST))
def test_whatever_can_be_told_has_the_form(at):
    assert FORM.fullmatch(text_of(at))
    assert read_again(at).tzinfo == UTC
