"""How an email's content becomes a row: cleaned of what no database holds, headers as JSON.

Used by whoever ends an email's way: results.py and dead_letters.py.
"""

from typing import Any

import msgspec

from storage.records import Content
from storage.statements import clean, encode_json

CONTENT_FIELDS = ("ref", "subject", "body", "sender", "recipient", "sent_at", "headers", "truncated")

CONTENT_UPSERT = "ON CONFLICT (ref) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in CONTENT_FIELDS[1:]
)
"""A dead letter that was replayed has its content already."""


def content_values(ref: int, content: Content) -> tuple[Any, ...]:
    """Give the values of CONTENT_FIELDS."""
    return (
        ref,
        clean(content.subject),
        clean(content.body),
        clean(content.sender),
        clean(content.recipient),
        None if content.timestamp is None else float(content.timestamp),
        _headers(content.headers),
        content.truncated,
    )


def _headers(headers: dict[str, str | list[str]]) -> str:
    try:
        return encode_json(headers).decode()
    except UnicodeEncodeError:  # a lone surrogate
        return clean(msgspec.json.encode(_without_surrogates(headers)).decode())


def _without_surrogates(headers: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
    return {
        clean(name): clean(value) if isinstance(value, str) else [clean(each) for each in value]
        for name, value in headers.items()
    }
