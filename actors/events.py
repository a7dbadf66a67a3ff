"""The entries of the event log: the messages of /events and of the WebSocket, encoded once for all readers.

Built by the actors, and by the web when a person changes a label. Readers of the log add the `seq`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.mailbox import LogEntry
from engine.timestamps import timestamp
from engine.unicode import storable, whole
from storage.keys import unescape_id
from storage.records import DeadLetter, NewResult, StoredResult

KINDS = NEW, PROCESS, RETRY, DEAD, LABEL = "new", "process", "retry", "dead", "label"

_encode = msgspec.json.Encoder().encode

_FRONT = b'{"event":"'


class ResultItem(msgspec.Struct):
    """A result as `/results/{email_id}` returns it; in events, with the email's subject and sender."""

    email_id: str
    source: str
    classification: str
    confidence: float
    decided_by: str
    model_version: str
    below_threshold: bool
    runner_up: str | None
    processed_at: str | None
    processor_id: str
    processing_time_ms: float | None
    queued_ms: float | None
    total_ms: float | None
    truncated: bool
    subject: str | msgspec.UnsetType = msgspec.UNSET
    sender: str | msgspec.UnsetType = msgspec.UNSET
    rule_id: int | None = None


class Event(msgspec.Struct):
    """One entry of the event log; `kind_of` reads the start of its encoded form."""

    event: str
    data: Any
    timestamp: str | None


def encode_event(event: str, data: dict[str, Any] | ResultItem, at: float) -> bytes:
    """Encode one event for the log: JSON of event, data and timestamp."""
    return _encode(Event(event, data, timestamp(at)))


def kind_of(entry: LogEntry) -> str:
    """Return the kind of a log entry (NEW, PROCESS, …), read from its start without parsing it."""
    return entry.data[len(_FRONT) : entry.data.index(b'"', len(_FRONT))].decode()


def message(entry: LogEntry) -> bytes:
    """Return a log entry as the JSON message that /events, the WebSocket and subscribers get."""
    return b'{"type":"email_event",%s,"seq":%s}' % (entry.data[1:-1], _encode(entry.seq))


def result_item(result: StoredResult) -> dict[str, Any]:
    """Return a result as `/results/{email_id}` answers it."""
    item: dict[str, Any] = msgspec.to_builtins(_item(result, msgspec.UNSET, msgspec.UNSET))
    return item


def _item(
    result: NewResult | StoredResult, subject: str | msgspec.UnsetType, sender: str | msgspec.UnsetType
) -> ResultItem:
    """Build an item. Positional, in the order of the fields, for speed: this runs for every processed email.

    A decision by a person or a rule has confidence 1: the model's confidence is about its own label, and `explain`
    shows it.
    """
    decided_by = result.decided_by
    guessed = decided_by == "model"
    return ResultItem(
        readable_id(result.key),
        result.source,
        result.label,
        _rounded(result.confidence, 10_000) if guessed else 1.0,
        decided_by,
        result.model_version,
        guessed and result.below_threshold,
        (result.runner_up or None) if guessed else None,
        timestamp(result.processed_at),
        result.processor_id,
        _ms(result.processing_ms),
        _ms(result.queued_ms),
        _ms(result.total_ms),
        result.truncated,
        subject,
        sender,
        result.rule_id if decided_by == "rule" else None,
    )


def process_event(result: NewResult | StoredResult) -> bytes:
    """Return the event of a new result, with the email's subject, from the result itself or from its stored form."""
    return encode_event(PROCESS, _item(result, storable(result.subject), storable(result.sender)), result.processed_at)


def label_event(result: StoredResult, at: float) -> bytes:
    """Return the event of a changed label: a person's correction or its undo, or reprocessing."""
    return encode_event(LABEL, _item(result, result.subject, result.sender), at)


def new_event(source: str, keys: Sequence[str], at: float) -> bytes:
    """Return the event of emails that entered the mailboxes; it names 100 ids at most."""
    ids = [readable_id(key) for key in keys[:100]]
    return encode_event(NEW, {"source": source, "count": len(keys), "email_ids": ids}, at)


def retry_event(source: str, key: str, *, reason: str, error: str, attempts: int, next_at: float, at: float) -> bytes:
    """Return the event of a failed attempt that will be repeated at `next_at`."""
    data = {"source": source, "email_id": readable_id(key), "reason": reason, "error": error, "attempts": attempts}
    return encode_event(RETRY, {**data, "next_attempt_at": timestamp(next_at)}, at)


def dead_event(letter: DeadLetter) -> bytes:
    """Return the event of an email that failed for good."""
    return encode_event(DEAD, dead_letter_item(letter), letter.dead_at)


def dead_letter_item(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as `/dead-letters` answers it."""
    return {
        "id": letter.id,
        "email_id": readable_id(letter.key),
        "source": letter.source,
        "reason": letter.reason,
        "error": letter.error,
        "attempts": letter.attempts,
        "first_seen": timestamp(letter.first_seen),
        "dead_at": timestamp(letter.dead_at),
    }


def readable_id(key: str) -> str:
    """Return the email's id as FakeMail gave it; lone surrogates, which JSON cannot carry, are replaced."""
    if key.isascii() and "\\" not in key:
        return key
    return whole(unescape_id(key))


def _ms(value: float | None) -> float | None:
    return None if value is None else _rounded(value, 1_000)


def _rounded(value: float, parts: int) -> float:
    """Round a non-negative value to 1/`parts`, at a quarter of the cost of round()."""
    return int(value * parts + 0.5) / parts
