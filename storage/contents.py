"""Writes email contents, cleaned of characters that no database can store; nothing else writes to their table.

Used by results.py and dead_letters.py, and by retention.py, which empties texts.
"""

from collections.abc import Sequence
from typing import Any

from engine.unicode import storable, whole_json
from storage.models import ContentRow
from storage.records import Content
from storage.statements import encode_json, execute, insert, is_postgres

CONTENT_FIELDS = ("ref", "subject", "body", "sender", "recipient", "sent_at", "headers", "truncated")

UPSERT = "ON CONFLICT (ref) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in CONTENT_FIELDS[1:])
"""A replayed dead letter already has its content row."""


def write_contents(contents: Sequence[tuple[int, Content]]) -> None:
    """Write (ref, content) pairs and queue them for the full-text index (search.py).

    PostgreSQL queues them by trigger. On SQLite, our connections disable triggers (drivers.py), because a trigger makes
    it copy the rows of a statement; so they are queued here.
    """
    insert(ContentRow, CONTENT_FIELDS, [_values(ref, content) for ref, content in contents], UPSERT)
    if not is_postgres():
        refs = encode_json([ref for ref, _ in contents]).decode()
        execute("INSERT OR IGNORE INTO unindexed (ref) SELECT value FROM json_each(?)", [refs])


def _values(ref: int, content: Content) -> tuple[Any, ...]:
    return (
        ref,
        storable(content.subject),
        storable(content.body),
        storable(content.sender),
        storable(content.recipient),
        None if content.timestamp is None else float(content.timestamp),
        _headers(content.headers),
        content.truncated,
    )


def _headers(headers: dict[str, str | list[str]]) -> str:
    try:
        return encode_json(headers).decode()
    except UnicodeEncodeError:  # a lone surrogate
        return encode_json(whole_json(headers)).decode()
