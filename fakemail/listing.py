"""Reads long JSON lists item by item, so that a million of them do not hold up the hub.

Called by client.py for the answer to GET /emails and by the simulator for a batch of emails. A C decoder keeps the
interpreter to itself for the whole of its call, on whatever thread it runs, so a long text is not decoded in one go,
and between slices of about a millisecond the others have their turn.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import gevent
import msgspec

from fakemail.answers import Bytes, Garbled

SMALL_BYTES = 32 * 1024
_SLICE_CHARACTERS = 32 * 1024
_space = re.compile(r"[ \t\n\r]*").match
_decode_ids = msgspec.json.Decoder(list[str]).decode


class NoList(Garbled):
    """It is JSON, but there is no list in it where one was looked for."""


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


_read_value = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode


def breathe() -> None:
    """Let the hub turn: unlike sleep(0), which may go round ready greenlets fifty times before it looks at a socket."""
    gevent.sleep(1e-6)


def read_listing(body: Bytes) -> list[str]:
    """The ids in a listing of any known shape, in its order; Garbled when any item of it is none."""
    if len(body) <= SMALL_BYTES:
        try:
            return _decode_ids(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # another shape, ids with lone surrogates, or garbage: read with care below
    return [_id_of(item) for item in read_items(body, ("emails", "email_ids"), bare=True)]


def read_items(body: Bytes, names: tuple[str, ...], *, bare: bool) -> Iterator[Any]:
    """The items of the list that an object holds under one of `names`, or of a bare list; Garbled for any damage."""
    try:
        yield from _Reader(body.decode("utf-8", "surrogatepass")).items(names, bare=bare)
    except Garbled:
        raise
    except (ValueError, RecursionError) as error:
        raise Garbled(f"it is no JSON: {type(error).__name__}") from error


class _Reader:
    """A position in a JSON text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._slice_end = _SLICE_CHARACTERS

    def items(self, names: tuple[str, ...], *, bare: bool) -> Iterator[Any]:
        found = False
        if bare and self._peek() == "[":
            found = True
            yield from self._list()
        elif self._peek() == "{":
            for name in self._keys():
                if name in names and not found and self._peek() == "[":
                    found = True
                    yield from self._list()
                else:
                    self._value()
        else:
            self._value()
        if self._peek():
            raise Garbled("there is more after the end")
        if not found:
            raise NoList("there is no list of emails in it")

    def _list(self) -> Iterator[Any]:
        self._at += 1
        if self._peek() == "]":
            self._at += 1
            return
        while True:
            yield self._value()
            if self._at > self._slice_end:
                self._slice_end = self._at + _SLICE_CHARACTERS
                breathe()
            if self._separator("]"):
                return

    def _keys(self) -> Iterator[str]:
        self._at += 1
        if self._peek() == "}":
            self._at += 1
            return
        while True:
            name = self._value()
            if not isinstance(name, str) or self._peek() != ":":
                raise Garbled("an object has a key that is none")
            self._at += 1
            yield name
            if self._separator("}"):
                return

    def _separator(self, closing: str) -> bool:
        mark = self._peek()
        if mark not in (",", closing):
            raise Garbled("a comma is missing, or the end")
        self._at += 1
        return mark == closing

    def _value(self) -> Any:
        self._peek()
        value, self._at = _read_value(self._text, self._at)
        return value

    def _peek(self) -> str:
        match = _space(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return self._text[self._at : self._at + 1]


def _id_of(item: Any) -> str:
    value = item.get("id") if isinstance(item, dict) else item
    if not isinstance(value, str):
        raise Garbled("an item of the listing has no id that is a text")
    return value
