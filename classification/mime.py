"""Parses raw RFC 822 bytes into what FakeMail carries: subject, text, sender, some headers. Accepts any bytes.

Used by `python run.py import` and the simulator's templates. It uses the standard library's email package with its
lenient policy; caps on size, parts, depth and header length keep it from known traps.
"""

import email.message
import email.parser
import email.policy
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from classification.calendars import calendar_text
from classification.charsets import decode_bytes, decode_header_value
from classification.mailfiles import iter_messages
from classification.text import html_to_text

__all__ = ["ParsedEmail", "iter_messages", "message_id", "parse_message"]

MAX_PARTS = 100
MAX_DEPTH = 20
MAX_BOUNDARIES = 200
MAX_HEADER = 2_000
MAX_REPEATS = 20
MIN_RAW = 2_000_000

KEPT_HEADERS = (
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Id",
    "List-Post",
    "List-Help",
    "Precedence",
    "Auto-Submitted",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Reply-To",
    "Return-Path",
    "Date",
    "Cc",
    "Content-Type",
    "Content-Language",
    "X-Mailer",
    "User-Agent",
    "X-Priority",
    "Importance",
    "Feedback-ID",
    "X-Auto-Response-Suppress",
)

if TYPE_CHECKING:
    Message = email.message.Message[str, str]
else:
    Message = email.message.Message  # takes parameters from Python 3.13 on


@dataclass(slots=True)
class ParsedEmail:
    """One message as FakeMail would carry it; `truncated` tells that text was cut.

    The message's date stays among the headers, since FakeMail assigns a time of its own.
    """

    subject: str = ""
    body: str = ""
    sender: str = ""
    recipient: str = ""
    headers: dict[str, str | list[str]] = field(default_factory=dict)
    truncated: bool = False


@dataclass(slots=True)
class _Found:
    """What the walk over the parts has collected."""

    plain: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    calendar: list[str] = field(default_factory=list)
    method: str = ""
    parts: int = 0
    cut: bool = False


def message_id(raw: bytes) -> str:
    """Return the id of a raw message: 32 hex digits of a hash of its bytes."""
    return hashlib.sha256(raw).hexdigest()[:32]


def parse_message(raw: bytes, max_body_bytes: int) -> ParsedEmail:
    """Parse a raw message; unreadable parts are left out, and the text is cut at `max_body_bytes` of UTF-8.

    Never raises: a message that cannot be parsed is returned with its bytes as the body.
    """
    limit = max(MIN_RAW, 4 * max_body_bytes)
    parsed = ParsedEmail(truncated=len(raw) > limit)
    found = _Found()
    try:
        message = _parse(raw[:limit])
        _read_headers(message, parsed)
        _walk(message, found, 0)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError, OverflowError):
        # The lenient parser still fails on some broken messages; keep what was read until then.
        found.cut = True
        if not found.plain and not found.html:
            found.plain.append(decode_bytes(raw[:max_body_bytes], ""))
    if found.method:
        parsed.headers["X-Calendar-Method"] = found.method
    text = _body(found)
    if not text and not parsed.subject and not parsed.sender:
        # Nothing in it was a message, but a person would still want to see its content.
        text = decode_bytes(raw[:max_body_bytes], "").strip()
    parsed.body, cut = _cut(text, max_body_bytes)
    parsed.truncated = parsed.truncated or cut or found.cut
    return parsed


class _ShortHeaders(email.policy.Compat32):
    """Cuts long headers of every part: the parser takes quadratic time for the parameters of a Content-Type."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[: 4 * MAX_HEADER]


_POLICY = _ShortHeaders()


def _parse(raw: bytes) -> Message:
    # A flood of nested multiparts takes quadratic time in the parser, so such a message is read as one flat text.
    flat = raw.count(b"boundary") > MAX_BOUNDARIES
    return email.parser.BytesParser(policy=_POLICY).parsebytes(raw, headersonly=flat)


def _read_headers(message: Message, parsed: ParsedEmail) -> None:
    gathered: dict[str, list[str]] = {}
    for name, value in message.raw_items():
        gathered.setdefault(str(name).lower(), []).append(str(value))
    parsed.subject = _header(gathered, "subject")
    parsed.sender = _header(gathered, "from") or _header(gathered, "sender")
    parsed.recipient = _header(gathered, "to")
    for name in KEPT_HEADERS:
        values = [decode_header_value(value)[:MAX_HEADER] for value in gathered.get(name.lower(), ())[:MAX_REPEATS]]
        if values:
            parsed.headers[name] = values[0] if len(values) == 1 else values


def _header(gathered: dict[str, list[str]], name: str) -> str:
    return decode_header_value(gathered.get(name, [""])[0])[:MAX_HEADER]


def _walk(message: Message, found: _Found, depth: int) -> None:
    if found.parts >= MAX_PARTS or depth > MAX_DEPTH:
        found.cut = True
        return
    found.parts += 1
    payload = message.get_payload()
    if not isinstance(payload, list):
        _read_part(message, found, depth)
        return
    for part in payload:
        if isinstance(part, email.message.Message):
            if message.get_content_type() == "message/rfc822":
                found.plain.append(_forward_line(part))
            _walk(part, found, depth + 1)


def _forward_line(message: Message) -> str:
    subject = decode_header_value(str(message.get("subject", ""))[:MAX_HEADER])
    return f"---------- Forwarded message ----------\nSubject: {subject}\n"


def _read_part(part: Message, found: _Found, depth: int) -> None:
    kind = part.get_content_type()
    attached = depth > 0 and part.get_content_disposition() == "attachment"
    if kind in {"text/calendar", "application/ics"} and not found.calendar:
        method, lines = calendar_text(_text(part))
        found.method = method or str(part.get_param("method") or "PUBLISH").upper()[:20]
        found.calendar.append(lines)
    elif kind == "text/html" and not attached:
        found.html.append(html_to_text(_text(part)))
    elif (kind.startswith("text/") and not attached) or depth == 0:
        found.plain.append(_text(part))


def _text(part: Message) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return str(data or "")
    charset = part.get_param("charset") or ""
    return decode_bytes(data, charset if isinstance(charset, str) else str(charset[-1]))


def _body(found: _Found) -> str:
    plain = "\n".join(text for text in found.plain if text.strip())
    read = plain if re.search(r"\w{2}", plain) else "\n".join(found.html)
    return "\n".join(text for text in (read, *found.calendar) if text.strip()).replace("\r\n", "\n").replace("\r", "\n")


def _cut(body: str, max_body_bytes: int) -> tuple[str, bool]:
    if len(body) * 4 <= max_body_bytes:
        return body, False
    data = body.encode("utf-8", "surrogatepass")
    if len(data) <= max_body_bytes:
        return body, False
    return data[:max_body_bytes].decode("utf-8", "ignore"), True
