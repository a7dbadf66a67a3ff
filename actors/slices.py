"""How much mail is judged at once, before others have their turn: by its number, and by its text, which may be HTML that is slow to read."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from classification.model import Email
from engine.turns import parts
from fakemail.answers import RemoteEmail
from storage.records import Content

SLICE, SLICE_SIZE = 32, 96 * 1024
"""So many emails, and bytes of them. Usual mail is 32 at once, slow HTML of that size takes some 20 ms."""

BREATH_S = 0.004
"""Seconds after which others have their turn: after each slice would be too often, since a turn of the hub costs too."""

T = TypeVar("T")


def slices(items: Sequence[T], size_of: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Cut into what is judged at once; `size_of` says how large an email is."""
    return parts(items, size_of, SLICE, SLICE_SIZE)


def text_size(email: Email | Content | RemoteEmail) -> int:
    """Characters that are read of an email, if it is no longer than that."""
    return len(email.subject) + len(email.body)
