"""One signed POST, and what its response means."""

import time
from email.utils import formatdate

import pytest

from actors.posting import LONGEST_RETRY_AFTER_S, Poster
from tests.actors.receiver import Receiver


def asked_to_wait(header: str) -> float | None:
    """Return the pause parsed from a 503 with this Retry-After."""
    with Receiver(lambda _: 503, [("Retry-After", header)]) as receiver:
        poster = Poster(receiver.url, lambda _: ["secret"])
        try:
            return poster.post("msg_1", b"{}").retry_after
        finally:
            poster.close()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("1000000000", LONGEST_RETRY_AFTER_S), ("-5", 0.0), ("soon", None), ("", None)],
)
def test_seconds_are_held_within_an_hour_and_nonsense_is_no_wish(header, seconds):
    assert asked_to_wait(header) == seconds


@pytest.mark.parametrize(("ahead", "seconds"), [(90, 90.0), (86_400, LONGEST_RETRY_AFTER_S), (-60, 0.0)])
def test_a_date_is_obeyed_as_seconds_are(ahead, seconds):
    assert asked_to_wait(formatdate(time.time() + ahead, usegmt=True)) == pytest.approx(seconds, abs=5)
