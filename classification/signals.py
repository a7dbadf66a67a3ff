"""The signals that a person would name: calendar parts, bulk headers, reply marks, money, dates, greetings and so on.

encoding.py calls it for every email; explain.py shows the signals by name. Those here are cheap counts over headers,
subject and body; lexicon.py has those that count phrases.
"""

import math
import re
from collections.abc import Mapping, Sequence

from classification.lexicon import LEXICON
from classification.records import Email
from classification.text import Text

STRUCTURAL = (
    "calendar part",
    "calendar method",
    "has headers",
    "List-Unsubscribe without List-Id",
    "discussion list",
    "bulk precedence",
    "automatic sender",
    "In-Reply-To",
    "different Reply-To",
    "bulk mailer",
    "HTML only",
    "sender role name",
    "subject says reply",
    "subject says forward",
    "subject is a list tag",
    "subject says calendar",
    "quotes earlier mail",
    "bare forward",
    "exclamation marks",
    "question marks",
    "money signs",
    "percent signs",
    "links",
    "links per word",
    "shouting",
    "digits",
    "length",
    "very short",
    "lines are short",
    "subject length",
    "greeting opens the body",
)
NAMES = STRUCTURAL + tuple(LEXICON)

# The field of a signal, if it is not the body.
FIELDS = {
    **dict.fromkeys(STRUCTURAL[1:11], "headers"),
    "sender role name": "sender",
    "subject says reply": "subject",
    "subject says forward": "subject",
    "subject is a list tag": "subject",
    "subject says calendar": "subject",
    "subject length": "subject",
}

_NO_HEADERS = (False,) * 11
_VERY_SHORT = 15
_GROWTH = [math.log1p(count) / 3 for count in range(20)]
_NO_CAPITALS = bytes(code for code in range(256) if not 65 <= code <= 90)
_NO_DIGITS = bytes(code for code in range(256) if not 48 <= code <= 57)
_REPLY = re.compile(r"\s*(?:re|aw|sv|antw)\s*(?:\[\d+\])?:", re.IGNORECASE)
_FORWARD = re.compile(r"\s*(?:fwd?|wg|tr)\s*:", re.IGNORECASE)
_LIST_TAG = re.compile(r"(?:\s*re:)?\s*\[[^\]]{2,40}\]", re.IGNORECASE)
_CALENDAR_SUBJECT = re.compile(
    r"\s*(?:invitation|updated invitation|accepted|declined|tentative|tentatively accepted|canceled|cancelled|canceled event|"
    r"event (?:accepted|declined|invitation)|new time proposed)\s*:",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r"no-?reply|newsletter|news|info|offers?|promo|marketing|deals|sales|shop|mailer|bounce|support|team|alert|update|"
    r"notification|hello|contact|service",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"\s*(?:hi|hello|hey|dear|greetings|good (?:morning|afternoon|evening|day)|welcome)\b", re.IGNORECASE
)
_BULK_MAILER = re.compile(
    r"accucast|listmanager|mailchimp|phpmailer|sendgrid|campaign|blast|bulk|group ?mail|exacttarget", re.IGNORECASE
)


def structural(email: Email, text: Text) -> list[float]:
    """Return the values of STRUCTURAL for one email: each roughly in 0..1, or a bool for a mark."""
    own, subject = text.own, text.subject
    plain = own.encode("ascii", "ignore")
    count = plain.count
    lines = count(b"\n") + 1
    words = count(b" ") + lines
    links = count(b"http") + count(b"www.")
    money = count(b"$") if len(plain) == len(own) else count(b"$") + own.count("£") + own.count("€")
    letters = len(plain) or 1
    marked = ":" in subject
    part, *headers = _from_headers(email) if email.headers else _NO_HEADERS
    return [
        part or b"BEGIN:VEVENT" in plain,  # or in the text, from callers that have no headers
        *headers,
        _ROLE.match(email.sender.rpartition("<")[2].partition("@")[0]) is not None,
        marked and _REPLY.match(subject) is not None,
        marked and _FORWARD.match(subject) is not None,
        "[" in subject and _LIST_TAG.match(subject) is not None,
        marked and _CALENDAR_SUBJECT.match(subject) is not None,
        bool(text.quoted),
        text.forward,
        _grow(count(b"!") + subject.count("!")),
        _grow(count(b"?") + subject.count("?")),
        _grow(money + 2 * subject.count("$")),
        _grow(count(b"%") + 2 * subject.count("%")),
        _grow(links),
        min(1.0, 10 * links / words),
        min(1.0, 3 * len(plain.translate(None, _NO_CAPITALS)) / letters) + subject.isupper(),
        min(1.0, 5 * len(plain.translate(None, _NO_DIGITS)) / letters),
        min(1.0, math.log1p(words) / 8),
        words < _VERY_SHORT,
        min(1.0, 10 * lines / (words + 10)),
        min(1.0, len(subject) / 80),
        _GREETING.match(own) is not None,
    ]


def _from_headers(email: Email) -> Sequence[float]:
    given = {name.lower(): value for name, value in email.headers.items()}
    precedence = _first(given, "precedence").lower()
    method = _first(given, "x-calendar-method")
    content_type = _first(given, "content-type").lower()
    listed = "list-id" in given or "list-post" in given or precedence == "list"
    reply_to = _first(given, "reply-to")
    return (
        bool(method) or "text/calendar" in content_type,
        method.upper() in {"REQUEST", "CANCEL", "REPLY", "COUNTER"},
        True,
        "list-unsubscribe" in given and not listed,
        listed,
        precedence in {"bulk", "junk"},
        "auto-submitted" in given and _first(given, "auto-submitted").lower() != "no",
        "in-reply-to" in given or "in-reply-to present" in given or "references" in given,
        bool(reply_to) and reply_to.rpartition("<")[2].strip("> ") not in email.sender,
        "x-mailer" in given and _BULK_MAILER.search(_first(given, "x-mailer")) is not None,
        content_type.startswith("text/html"),
    )


def _first(given: Mapping[str, str | Sequence[str]], name: str) -> str:
    value = given.get(name)
    if not value:
        return ""
    if isinstance(value, str):
        return value[:500]
    return str(value[0])[:500] if isinstance(value, (list, tuple)) else str(value)[:500]


def _grow(count: int) -> float:
    return _GROWTH[count] if count < len(_GROWTH) else 1.0
