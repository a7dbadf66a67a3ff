"""Limits how much mail is judged before other greenlets get a turn, by number and by size: HTML can be slow."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from classification.model import Email
from engine.turns import parts
from fakemail.answers import RemoteEmail
from storage.records import Content

SLICE, SLICE_SIZE = 32, 96 * 1024
"""Emails and bytes per slice. Ordinary mail goes 32 at a time; slow HTML of this size takes some 20 ms."""

BREATH_S = 0.004
"""Yield to other greenlets after this many seconds. Each yield has a cost, so doing it after every slice would be too
often."""

T = TypeVar("T")


def slices(items: Sequence[T], size_of: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Cut into slices that are judged in one go; `size_of` returns the size of an item."""
    return parts(items, size_of, SLICE, SLICE_SIZE)


def text_size(email: Email | Content | RemoteEmail) -> int:
    """Return how many characters of subject and body there are to read."""
    return len(email.subject) + len(email.body)
