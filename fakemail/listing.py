"""Reads long JSON lists item by item, so that a million items do not block the hub.

Called by client.py for the answer to GET /emails and by the simulator for a batch of emails. A C decoder holds the
interpreter lock for its whole call, on whatever thread it runs. So a long text is decoded in slices of about a
millisecond, and other greenlets run in between.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from engine.turns import breathe
from fakemail.answers import Bytes, Garbled, refuse_constant
from fakemail.spool import Spool

SMALL_BYTES = 32 * 1024
_SLICE_CHARACTERS = 32 * 1024
_MAX_ITEM_CHARACTERS = 1024 * 1024
"""An id, or an object with one, is far shorter. A longer item is damage or malice; decoding it would block the hub."""

_space = re.compile(r"[ \t\n\r]*").match
_decode_ids = msgspec.json.Decoder(list[str]).decode


class NoList(Garbled):
    """The text is JSON, but has no list where one is expected."""


_read_value = json.JSONDecoder(parse_constant=refuse_constant).raw_decode


class Listing:
    """The ids of one long answer, in order. Each iteration parses them again, so they are never all in memory."""

    def __init__(self, body: Bytes | Spool) -> None:
        """Check the whole answer; raises Garbled if any item is not an id."""
        self._body = body
        self._count = sum(1 for _ in self)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        items = read_items(self._body, ("emails", "email_ids"), bare=True, longest=_MAX_ITEM_CHARACTERS)
        return map(_id_of, items)


def read_listing(body: Bytes | Spool) -> list[str] | Listing:
    """Return the ids in a listing of any known shape, in order; raises Garbled if any item is not an id."""
    if len(body) <= SMALL_BYTES:
        small = body.read(0, SMALL_BYTES) if isinstance(body, Spool) else body
        try:
            return _decode_ids(small)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return list(Listing(small))  # another shape, ids with lone surrogates, or garbage
    return Listing(body)


def read_items(body: Bytes | Spool, names: tuple[str, ...], *, bare: bool, longest: int | None = None) -> Iterator[Any]:
    """Yield the items of the list that an object holds under one of `names`, or (`bare`) of a list alone.

    Raises Garbled for any damage, and for a value of more than `longest` characters, inside or outside of the list.
    """
    try:
        yield from _Reader(body, longest).items(names, bare=bare)
    except Garbled:
        raise
    except (ValueError, RecursionError) as error:
        raise Garbled(f"it is not JSON: {type(error).__name__}") from error


class _Reader:
    """A window that moves over a JSON text, with a position in it."""

    def __init__(self, body: Bytes | Spool, longest: int | None) -> None:
        self._body = body
        self._longest = longest
        self._offset = 0
        self._text = ""
        self._at = 0
        self._passed = 0

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
            if self._passed > _SLICE_CHARACTERS:
                self._passed = 0
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
                raise Garbled("an object has a key that is not a string")
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
        while True:
            try:
                value, end = _read_value(self._text, self._at)
            except json.JSONDecodeError as error:
                if not (_may_be_cut(error) and self._more()):
                    raise
            else:
                if end < len(self._text) - _CUT_NUMBER or not self._more():
                    self._passed += end - self._at
                    self._at = end
                    return value

    def _peek(self) -> str:
        while True:
            match = _space(self._text, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def _more(self) -> bool:
        """Extend the window by at least as much as is left in it; return False at the end of the body."""
        breathe()
        rest = self._text[self._at :]
        self._check_length(len(rest))
        size = max(_SLICE_CHARACTERS, len(rest))
        data = self._read(size)
        if not data:
            return False
        whole = data.rstrip(_NOT_ASCII) or data  # so that no character is split
        self._offset += len(whole)
        self._text, self._at = rest + whole.decode("utf-8", "surrogatepass"), 0
        return True

    def _read(self, size: int) -> bytes:
        """Return a piece of the body that contains an ASCII character or is the last one."""
        while True:
            data = self._body.read(self._offset, size) if isinstance(self._body, Spool) else self._slice(size)
            if len(data) < size or data.rstrip(_NOT_ASCII):
                return data
            self._check_length(size // 4)  # all of it is one value, and a character has at most four bytes
            size *= 2

    def _check_length(self, characters: int) -> None:
        if self._longest is not None and characters > self._longest:
            raise Garbled(f"a value in it has more than {self._longest} characters")

    def _slice(self, size: int) -> bytes:
        assert not isinstance(self._body, Spool)
        return bytes(self._body[self._offset : self._offset + size])


_CUT_NUMBER = 2
"""A number that is cut at the window's end seems to end before `.`, `e` or `e-`, up to two characters early."""

_NOT_ASCII = bytes(range(0x80, 0x100))


def _may_be_cut(error: json.JSONDecodeError) -> bool:
    """Return whether the error may only mean that the window ends inside a value: it is at the end, or in a string."""
    return error.msg.startswith("Unterminated string") or error.pos >= len(error.doc) - 12


def _id_of(item: Any) -> str:
    value = item.get("id") if isinstance(item, dict) else item
    if not isinstance(value, str):
        raise Garbled("an item of the listing has no id, or one that is not a string")
    return value
