"""The signals that a person would name: calendar parts, bulk headers, reply marks, money, dates, greetings and so on.

Called by encoding.py for every email and by explain.py, which shows them by name. The ones here are cheap counts over
headers, subject and body; lexicon.py has those that count phrases.
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

# Where a signal was read, for those that are not of the body.
FIELDS = {
    **dict.fromkeys(STRUCTURAL[:11], "headers"),
    "sender role name": "sender",
    "subject says reply": "subject",
    "subject says forward": "subject",
    "subject is a list tag": "subject",
    "subject says calendar": "subject",
    "subject length": "subject",
}

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
    """Return the values of STRUCTURAL for one email, each about 0..1."""
    own, subject = text.own, text.subject
    words = own.count(" ") + own.count("\n") + 1
    links = own.count("http") + own.count("www.")
    return [
        *_from_headers(email),
        float(_REPLY.match(subject) is not None),
        float(_FORWARD.match(subject) is not None),
        float(_LIST_TAG.match(subject) is not None),
        float(_CALENDAR_SUBJECT.match(subject) is not None),
        float(bool(text.quoted)),
        float(text.forward),
        _grow(own.count("!") + subject.count("!")),
        _grow(own.count("?") + subject.count("?")),
        _grow(own.count("$") + own.count("£") + own.count("€") + 2 * subject.count("$")),
        _grow(own.count("%") + 2 * subject.count("%")),
        _grow(links),
        min(1.0, 10 * links / words),
        *_shape(own, subject, words),
        float(_GREETING.match(own) is not None),
    ]


def _shape(own: str, subject: str, words: int) -> list[float]:
    head = own[:2_000].encode("ascii", "ignore")
    letters = len(head) or 1
    capitals = len(head.translate(None, _NO_CAPITALS)) / letters
    return [
        min(1.0, 3 * capitals) + float(subject.isupper()),
        min(1.0, 5 * len(head.translate(None, _NO_DIGITS)) / letters),
        min(1.0, math.log1p(words) / 8),
        float(words < 15),
        min(1.0, 10 * (own.count("\n") + 1) / (words + 10)),
        min(1.0, len(subject) / 80),
    ]


def _from_headers(email: Email) -> list[float]:
    given = {name.lower(): value for name, value in email.headers.items()} if email.headers else {}
    precedence = _first(given, "precedence").lower()
    method = _first(given, "x-calendar-method")
    listed = "list-id" in given or "list-post" in given or precedence == "list"
    reply_to = _first(given, "reply-to")
    local = email.sender.rpartition("<")[2].partition("@")[0]
    return [
        float(bool(method) or "text/calendar" in _first(given, "content-type")),
        float(method.upper() in {"REQUEST", "CANCEL", "REPLY", "COUNTER"}),
        float(bool(given)),
        float("list-unsubscribe" in given and not listed),
        float(listed),
        float(precedence in {"bulk", "junk"}),
        float("auto-submitted" in given and _first(given, "auto-submitted").lower() != "no"),
        float("in-reply-to" in given or "in-reply-to present" in given or "references" in given),
        float(bool(reply_to) and reply_to.rpartition("<")[2].strip("> ") not in email.sender),
        float(_BULK_MAILER.search(_first(given, "x-mailer")) is not None),
        float(_first(given, "content-type").lower().startswith("text/html")),
        float(_ROLE.match(local) is not None),
    ]


def _first(given: Mapping[str, str | Sequence[str]], name: str) -> str:
    value = given.get(name, "")
    if isinstance(value, str):
        return value[:500]
    return str(value[0])[:500] if isinstance(value, (list, tuple)) and value else str(value)[:500]


def _grow(count: int) -> float:
    return min(1.0, math.log1p(count) / 3)
