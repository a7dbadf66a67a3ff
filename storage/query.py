"""The language of `q`: words, "phrases", from:, subject:, class:, confidence:<0.6, before: and after: (ISO dates), and a - before any.

Pure: text in, a Query out, never an error; what is no operator is text. All terms must hold, those of one operator too. Tokens
are made by the one rule that the index uses too (`tokens`), so that both databases answer alike.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.unicode import normalized
from storage.records import LABELS

MAX_TERMS = 32
"""So many different terms of a query are heeded."""

_WORD = re.compile(r"[^\W_]+")
_PLAIN = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else ord(" ") for code in range(256))
_SHAPE = bytes(ord("x") if code < 128 and chr(code).isalnum() else ord(" ") for code in range(256))
_TERM = re.compile(r'(?P<minus>-?)(?:(?P<field>[a-z]+):)?(?:"(?P<phrase>[^"]*)"?|(?P<word>\S+))', re.IGNORECASE)
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_BOUND = re.compile(r"(<=|>=|<|>)?(\d+(?:\.\d+)?|\.\d+)\Z")


class Bound(msgspec.Struct, frozen=True):
    """A limit of the confidence: operator (one of <, <=, >, >=) and value."""

    operator: str
    value: float


class Query(msgspec.Struct, frozen=True):
    """What a `q` asks for. Phrases are tuples of tokens (a word is a phrase of one); all of them must be there, in any field.

    `subject` holds phrases that the subject must have, `senders` texts in the sender, `labels` what the label must be (two differ:
    nothing is found). Each has its `excluded`: what must not be there, and nowhere at all for `excluded` alone. `hopeless`: what is
    asked for has no letter or digit, which is all that is ever indexed, so nothing is found.
    """

    phrases: tuple[tuple[str, ...], ...] = ()
    excluded: tuple[tuple[str, ...], ...] = ()
    subject: tuple[tuple[str, ...], ...] = ()
    excluded_subject: tuple[tuple[str, ...], ...] = ()
    senders: tuple[str, ...] = ()
    excluded_senders: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    excluded_labels: tuple[str, ...] = ()
    confidence: tuple[Bound, ...] = ()
    before: float | None = None
    after: float | None = None
    hopeless: bool = False

    @property
    def has_text(self) -> bool:
        """Whether the full-text index is needed."""
        wanted = self.phrases or self.subject or self.senders
        return bool(wanted or self.excluded or self.excluded_subject or self.excluded_senders)


def tokens(text: str) -> list[str]:
    """Text as the index sees it: letters and digits without their accents, in lower case."""
    if text.isascii():  # the same by a table, at a third of the cost
        return plain(text).split()
    apart = normalized("NFKD", text.casefold()).casefold()
    folded = "".join(char for char in apart if not unicodedata.combining(char))
    return _WORD.findall(folded)


def plain(text: str) -> str:
    """ASCII text with its tokens in lower case, and spaces for everything between them."""
    return text.encode().translate(_PLAIN).decode()


def has_longer_token(text: str, length: int) -> bool:
    """Whether a token of ASCII text has more than `length` characters."""
    return b"x" * (length + 1) in text.encode().translate(_SHAPE)


def parse(q: str) -> Query:
    """Read a query. Unknown fields, bad dates and the like are taken as the text that they are."""
    found: dict[str, list[Any]] = defaultdict(list)
    wordless = hopeless = False
    for minus, field, text in _terms(q):
        excluded = "excluded_" if minus else ""
        if field in {"from", "subject"} and text.strip() and not tokens(text):
            hopeless = hopeless or not minus
        elif field == "from" and text.strip():
            found[f"{excluded}senders"].append(text.strip().casefold())
        elif field == "class" and text.lower() in LABELS:
            found[f"{excluded}labels"].append(text.lower())
        elif field == "confidence" and (bound := _bound(text)):
            found["confidence"].append(Bound(_OPPOSITE[bound.operator], bound.value) if minus else bound)
        elif field in {"before", "after"} and (at := _moment(text)) is not None:
            found["before" if (field == "before") is not minus else "after"].append(at)
        elif field == "subject" and (phrase := tuple(tokens(text))):
            found[f"{excluded}subject"].append(phrase)
        elif phrase := tuple(tokens(f"{field} {text}" if field not in {"", "subject"} else text)):
            found["excluded" if minus else "phrases"].append(phrase)
        else:
            wordless = wordless or not minus
    hopeless = hopeless or (wordless and all(name.startswith("excluded") for name in found))
    before, after = found.pop("before", ()), found.pop("after", ())
    said: dict[str, Any] = {name: tuple(values) for name, values in found.items()}
    return Query(before=min(before, default=None), after=max(after, default=None), hopeless=hopeless, **said)


def _terms(q: str) -> Iterator[tuple[bool, str, str]]:
    """(negated, field or "", text) of each term, and of equal ones the first."""
    seen: set[tuple[bool, str, str]] = set()
    for match in _TERM.finditer(q):
        text = match["phrase"] if match["phrase"] is not None else match["word"]
        term = bool(match["minus"]), (match["field"] or "").lower(), text.casefold()
        if term in seen:
            continue
        if len(seen) == MAX_TERMS:
            return
        seen.add(term)
        yield *term[:2], text


def _bound(text: str) -> Bound | None:
    """`<0.6` and the like; a bare number is a lower bound."""
    match = _BOUND.match(text)
    return Bound(match[1] or ">=", float(match[2])) if match else None


def _moment(text: str) -> float | None:
    """An ISO date or time, UTC unless it says otherwise."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
