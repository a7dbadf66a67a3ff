"""Reads FakeMail's answers: an email, a history id, an opinion, and the pause that a 429 asks for.

Called by client.py with bytes; nothing here does HTTP or waits. Raises Garbled if the whole answer is unusable (then
FakeMail is to blame), Permanent if this one email is. Optional fields of a wrong type count as absent.
"""

import json
import math
import re
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeGuard

import msgspec

from engine.errors import Permanent
from engine.mailbox import LANES
from fakemail.retry_after import read_retry_after

MAX_SUBJECT_BYTES = 16 * 1024
MAX_ADDRESS_BYTES = 4 * 1024
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
MAX_HISTORY_ID = 2**63 - 1
MIN_RETRY_AFTER_S, MAX_RETRY_AFTER_S = 1.0, 300.0

Bytes = bytes | bytearray
# What msgspec raises for unreadable input. It rejects lone surrogates, too, so the json module tries again.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
Headers = dict[str, str | list[str]]

_SURROGATE = re.compile("[\ud800-\udfff]")


class Garbled(ValueError):
    """The answer as a whole makes no sense."""


class RemoteEmail(msgspec.Struct, frozen=True):
    """One email as FakeMail returned it: sizes capped (see `truncated`), texts free of lone surrogates, `id` exact."""

    id: str
    subject: str
    body: str
    sender: str | None = None
    recipient: str | None = None
    timestamp: float | None = None
    history_id: int | None = None
    headers: Headers = {}
    truncated: bool = False
    priority: str | None = None  # high, normal or low; only the simulator sends it


class _Fields(msgspec.Struct):
    """The fields that we read, of any type; the decoder skips all others without building them."""

    id: Any = None
    subject: Any = None
    body: Any = None
    sender: Any = None
    recipient: Any = None
    timestamp: Any = None
    history_id: Any = None
    headers: Any = None
    priority: Any = None


_decode_fields = msgspec.json.Decoder(_Fields).decode


def read_email(body: Bytes, email_id: str, max_body_bytes: int) -> RemoteEmail:
    """Read the answer to GET /email/{id}; raises Garbled, or Permanent with reason `invalid_email`."""
    try:
        fields, clean = _decode_fields(body), True
    except _UNREADABLE:
        fields, clean = _fields_slowly(body), False
    if fields.id != email_id:
        raise Garbled("the answer is for another id than the requested one")
    text = _Text(clean)
    subject = text.cut(_as_text(fields.subject, "subject"), MAX_SUBJECT_BYTES)
    content = text.cut(_as_text(fields.body, "body"), max_body_bytes)
    return RemoteEmail(
        id=email_id,
        subject=subject,
        body=content,
        sender=text.optional(fields.sender),
        recipient=text.optional(fields.recipient),
        timestamp=_as_time(fields.timestamp),
        history_id=fields.history_id if is_history_id(fields.history_id) else None,
        headers=text.headers(fields.headers),
        truncated=text.truncated,
        priority=fields.priority if fields.priority in LANES else None,
    )


def read_object(body: Bytes) -> dict[str, Any]:
    """Read a JSON object; raises Garbled."""
    try:
        value = msgspec.json.decode(body)
    except _UNREADABLE:
        value = read_slowly(body)
    if not isinstance(value, dict):
        raise Garbled("the answer is not a JSON object")
    return value


def read_history_id(body: Bytes) -> int:
    """Read the answer to POST /watch; raises Garbled."""
    value = read_object(body).get("history_id")
    if not is_history_id(value):
        raise Garbled("the answer has no history_id that is a whole number")
    return value


def read_opinion(body: Bytes) -> tuple[str, float]:
    """Read the answer to POST /classify: a label and a confidence in 0..1; raises Garbled."""
    answer = read_object(body)
    label, confidence = answer.get("classification"), answer.get("confidence")
    if not isinstance(label, str) or len(label) > 100 or _SURROGATE.search(label):
        raise Garbled("the answer has no classification")
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        raise Garbled("the answer has no confidence in 0..1")
    return label, float(confidence)


def read_slowly(body: Bytes) -> Any:
    """Read any JSON with the standard library, which accepts lone surrogates; Garbled for NaN, damage, deep nesting."""
    try:
        return json.loads(body.decode("utf-8", "surrogatepass"), parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Garbled(f"the answer is not JSON: {type(error).__name__}") from error


def is_history_id(value: object) -> TypeGuard[int]:
    """Return whether a value is an integer from 0 to 2^63 - 1; booleans are not."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_HISTORY_ID


def retry_after(value: str | None, now: float) -> float:
    """Return the pause that a Retry-After header (seconds or an HTTP date) asks for, in 1..300 s; nonsense gives 1."""
    return min(MAX_RETRY_AFTER_S, max(MIN_RETRY_AFTER_S, read_retry_after(value or "", now) or 0.0))


def refuse_constant(name: str) -> NoReturn:
    """Reject NaN and the infinities, which Python's json module accepts although JSON does not have them."""
    raise ValueError(name)


def _fields_slowly(body: Bytes) -> _Fields:
    value = read_slowly(body)
    if not isinstance(value, dict):
        raise Garbled("the answer is not a JSON object")
    return _Fields(**{name: value[name] for name in _Fields.__struct_fields__ if name in value})


def _as_text(value: object, field: str) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value) if isinstance(value, float) or abs(value) < 10**100 else "a huge number"
    raise Permanent(f"the {field} of the email is {type(value).__name__}, not a text", reason="invalid_email")


def _as_time(value: object) -> float | None:
    """Return seconds since the epoch from a number or an ISO 8601 text; None if unreadable or out of range."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 253_402_300_800 and math.isfinite(value) else None


class _Text:
    """Cleans and cuts the texts of one email, and remembers whether anything was cut."""

    def __init__(self, clean: bool) -> None:
        self.truncated = False
        self._clean = clean

    def cut(self, text: str, max_bytes: int) -> str:
        """Return the text cut to at most `max_bytes` of UTF-8, between characters."""
        if not self._clean:
            text = _SURROGATE.sub("\ufffd", text)
        if len(text) * 4 <= max_bytes or (len(text) <= max_bytes and len(text.encode()) <= max_bytes):
            return text
        self.truncated = True
        return text[:max_bytes].encode()[:max_bytes].decode("utf-8", "ignore")

    def optional(self, value: object) -> str | None:
        return self.cut(value, MAX_ADDRESS_BYTES) if isinstance(value, str) else None

    def headers(self, value: object) -> Headers:
        """Return the first headers that are texts or lists of texts, up to the caps on their number and size."""
        kept: Headers = {}
        room = MAX_HEADER_BYTES
        for name, content in value.items() if isinstance(value, dict) else ():
            items = content if isinstance(content, list) else [content]
            texts = [text for text in items if isinstance(text, str)]
            if not texts:
                continue
            room -= len(name.encode("utf-8", "replace")) + sum(len(text.encode("utf-8", "replace")) for text in texts)
            if room < 0 or len(kept) == MAX_HEADERS:
                self.truncated = True
                break
            texts = [self.cut(text, MAX_HEADER_BYTES) for text in texts]
            kept[self.cut(name, MAX_HEADER_BYTES)] = texts[0] if isinstance(content, str) else texts
        return kept
