"""What the envelopes of each mailbox carry, and the names of the mailboxes.

The way of one email: look.<source> (a hint) → fetch (an id) → classify (the whole, cut email); `dead` takes what failed. Each source has
its own `fetch`, so that a slow one holds up nobody else's mail.
Everything rides in msgpack; unknown fields of newer versions are ignored.
"""

from typing import Any, TypeVar, cast

import msgspec

from engine.mailbox import MAIN, Room
from engine.unicode import whole_json
from storage.records import Content

FETCH = "fetch"
CLASSIFY = "classify"

HINTS = Room(messages=10_000)
"""Hints of a source that may wait while nobody looks: the look that they will bring finds what a later one tells of too. Many times as many
as a lister has in hand, whose look has begun already.
"""

T = TypeVar("T")


def look_mailbox(source: str) -> str:
    """The mailbox of hints to look at a source's history; read by the source's leader."""
    return f"look.{source}"


def fetch_mailbox(source: str) -> str:
    """The mailbox of ids to be fetched from a source: `fetch` of main, `fetch.<source>` of the others."""
    return FETCH if source == MAIN else f"{FETCH}.{source}"


def canary_mailbox(node: str) -> str:
    """The mailbox in which a node waits for its canaries (actors/canary.py)."""
    return f"canary.{node}"


class LookBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A notification: the history id it announced. A hint, nothing more."""

    history_id: int = 0
    webhook_id: str | None = None


class FetchBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """An email to be fetched; `first_missing_at` is when FakeMail first answered 404 for it."""

    first_missing_at: float | None = None


class ClassifyBody(Content, frozen=True, omit_defaults=True, gc=False):
    """The whole (cut) email: a worker elsewhere needs nothing else."""


_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type, msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (LookBody, FetchBody, ClassifyBody)
}


def encode(body: msgspec.Struct) -> bytes:
    """A body as its envelope carries it; lone surrogates, which UTF-8 has no bytes for, are replaced."""
    try:
        return _encoder.encode(body)
    except UnicodeEncodeError:
        return _encoder.encode(whole_json(msgspec.to_builtins(body)))


def decode(data: bytes, kind: type[T]) -> T:
    """The reverse; an empty body is one with all defaults."""
    return cast("T", _decoders[kind].decode(data)) if data else kind()
