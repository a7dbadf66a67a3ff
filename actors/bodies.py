"""What the envelopes of each mailbox carry, and the mailboxes' names.

An email's path: look.<source> (a hint) → fetch (an id) → classify (the whole email, cut to size); `dead` takes what
failed. Each source has its own `fetch`, so that a slow one holds up nobody else's mail. Bodies are msgpack; fields
unknown to this version are ignored.
"""

from typing import Any, TypeVar, cast

import msgspec

from engine.mailbox import MAIN, Room
from engine.unicode import whole_json
from storage.records import Content

FETCH = "fetch"
CLASSIFY = "classify"

HINTS = Room(messages=10_000)
"""How many hints of a source may wait while nobody looks. More are not needed: the look for the waiting ones also finds
what later hints announce. It is many times what a lister takes at once, since the look for those has already begun."""

T = TypeVar("T")


def look_mailbox(source: str) -> str:
    """Return the mailbox of hints to look at a source's history; the source's leader reads it."""
    return f"look.{source}"


def fetch_mailbox(source: str) -> str:
    """Return the mailbox of ids to fetch from a source: `fetch` for main, `fetch.<source>` for the others."""
    return FETCH if source == MAIN else f"{FETCH}.{source}"


def canary_mailbox(node: str) -> str:
    """Return the mailbox to which a node's canaries return (actors/canary.py)."""
    return f"canary.{node}"


class LookBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A notification: the history id that it announced. Only a hint."""

    history_id: int = 0
    webhook_id: str | None = None


class FetchBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """An email to fetch; `first_missing_at` is when FakeMail first answered 404 for it."""

    first_missing_at: float | None = None


class ClassifyBody(Content, frozen=True, omit_defaults=True, gc=False):
    """The whole email, cut to size: a worker on another node needs nothing else."""


_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type, msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (LookBody, FetchBody, ClassifyBody)
}


def encode(body: msgspec.Struct) -> bytes:
    """Encode a body for its envelope; lone surrogates, which UTF-8 cannot encode, are replaced."""
    try:
        return _encoder.encode(body)
    except UnicodeEncodeError:
        return _encoder.encode(whole_json(msgspec.to_builtins(body)))


def decode(data: bytes, kind: type[T]) -> T:
    """Decode a body; empty data decode to all defaults."""
    return cast("T", _decoders[kind].decode(data)) if data else kind()
