"""How an email's content becomes a row: cleaned of what no database holds, headers as JSON; the one door into its table.

Used by whoever ends an email's way: results.py and dead_letters.py.
"""

from collections.abc import Sequence
from typing import Any

from engine.unicode import storable, whole_json
from storage.models import ContentRow
from storage.records import Content
from storage.statements import encode_json, execute, insert, is_postgres

CONTENT_FIELDS = ("ref", "subject", "body", "sender", "recipient", "sent_at", "headers", "truncated")

UPSERT = "ON CONFLICT (ref) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in CONTENT_FIELDS[1:])
"""A dead letter that was replayed has its content already."""


def write_contents(contents: Sequence[tuple[int, Content]]) -> None:
    """Write what emails say, by ref, and queue it for the full-text index (search.py).

    PostgreSQL's triggers queue it. Those of SQLite are off for us (drivers.py): it copies the rows of a statement aside for them.
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
