"""Converts rows to records: the columns to select, in order, and the functions that read them.

Everything in storage/ that returns records uses this module, so that each kind of record is built in one place.
"""

from typing import Any, Protocol, TypeVar

import msgspec

from engine.mailbox import LANES
from storage.contents import CONTENT_FIELDS
from storage.records import (
    DECIDERS,
    LABELS,
    LETTER_STATES,
    STATES,
    BookState,
    Content,
    DeadLetter,
    KnownEmail,
    StoredResult,
)

BOOK_COLUMNS = (
    "book.id, source.name, book.key, book.state, book.generation, book.lane, book.attempts, book.listed_at, "
    "look.notified_at, book.next_attempt_at, book.last_error"
)
BOOK_TABLES = "book JOIN source ON source.id = book.source LEFT JOIN look ON look.id = book.look"

RESULT_COLUMNS = (
    "result.id, result.ref, source.name, book.key, result.label, result.confidence, result.decided_by, "
    "result.model_label, result.probabilities, result.model_version, result.below_threshold, result.runner_up, "
    "result.processed_at, result.processor_id, result.processing_ms, result.queued_ms, result.total_ms, "
    "content.subject, content.sender, content.truncated, result.times, result.rule_id"
)
RESULT_TABLES = (
    "result JOIN book ON book.id = result.ref JOIN source ON source.id = book.source "
    "LEFT JOIN content ON content.ref = result.ref"
)

LETTER_COLUMNS = (
    "dead_letter.id, dead_letter.ref, source.name, book.key, dead_letter.generation, dead_letter.reason, "
    "dead_letter.error, dead_letter.attempts, dead_letter.first_seen, dead_letter.dead_at, dead_letter.state"
)
LETTER_TABLES = "dead_letter JOIN book ON book.id = dead_letter.ref JOIN source ON source.id = dead_letter.source"

LETTER_FIELDS = (
    "ref",
    "generation",
    "source",
    "state",
    "reason",
    "error",
    "attempts",
    "first_seen",
    "dead_at",
    "processor_id",
    "times",
)
"""The columns written for a dead letter."""

CONTENT_COLUMNS = ", ".join(f"content.{name}" for name in CONTENT_FIELDS[1:])

N = TypeVar("N", bound="Numbered")


class Numbered(Protocol):
    """An item of a page, with the number that the next page starts from."""

    @property
    def id(self) -> int:
        """Its number; the next page has lower ones."""


def one_page(found: list[N], limit: int) -> tuple[list[N], int | None]:
    """Return the page, and the number below which the next one begins, if any.

    `found` holds up to `limit` + 1 items, newest first.
    """
    page = found[:limit]
    return page, page[-1].id if len(found) > limit else None


_times = msgspec.json.Decoder(dict[str, float])
_headers = msgspec.json.Decoder(dict[str, str | list[str]])
_numbers = msgspec.json.Decoder(list[float])


def book_row(row: tuple[Any, ...]) -> KnownEmail:
    """Read BOOK_COLUMNS; the due time is meaningful in open rows only."""
    ref, source, key, state, generation, lane, attempts, listed_at, notified_at, next_attempt_at, last_error = row
    return KnownEmail(
        ref=ref,
        source=source,
        key=key,
        state=STATES[state],
        generation=generation,
        lane=LANES[lane],
        attempts=attempts,
        listed_at=listed_at,
        notified_at=notified_at,
        next_attempt_at=next_attempt_at if state == BookState.OPEN else None,
        last_error=last_error,
    )


def stored_result(row: tuple[Any, ...]) -> StoredResult:
    """Read RESULT_COLUMNS; subject and sender are empty if the content was pruned."""
    return StoredResult(
        id=row[0],
        ref=row[1],
        source=row[2],
        key=row[3],
        label=LABELS[row[4]],
        confidence=row[5],
        decided_by=DECIDERS[row[6]],
        model_label=LABELS[row[7]],
        probabilities=dict(zip(LABELS, _numbers.decode(row[8]), strict=False)),
        model_version=row[9],
        below_threshold=bool(row[10]),
        runner_up="" if row[11] is None else LABELS[row[11]],
        processed_at=row[12],
        processor_id=row[13],
        processing_ms=row[14],
        queued_ms=row[15],
        total_ms=row[16],
        subject=row[17] or "",
        sender=row[18] or "",
        truncated=bool(row[19]),
        times=_times.decode(row[20]),
        rule_id=row[21],
    )


def dead_letter(row: tuple[Any, ...]) -> DeadLetter:
    """Read LETTER_COLUMNS."""
    letter = DeadLetter(*row)
    return msgspec.structs.replace(letter, state=LETTER_STATES[row[-1]])


def content(row: tuple[Any, ...]) -> Content:
    """Read CONTENT_COLUMNS."""
    subject, body, sender, recipient, sent_at, headers, truncated = row
    return Content(subject, body, sender, recipient, sent_at, _headers.decode(headers), bool(truncated))
