"""The language of `q`: words, "phrases", from:, subject:, class:, confidence:<0.6, before: and after: (ISO dates).

A - before any of them negates it. Parsing is pure: text in, a Query out, never an error; anything that is not an
operator is text. All terms must hold, including those of the same operator. The index cuts text into tokens by the same
function (`tokens`), so that both databases give the same answers.
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
"""How many different terms of a query count; further ones are ignored."""

_WORD = re.compile(r"[^\W_]+")
_PLAIN = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else ord(" ") for code in range(256))
_SHAPE = bytes(ord("x") if code < 128 and chr(code).isalnum() else ord(" ") for code in range(256))
_TERM = re.compile(r'(?P<minus>-?)(?:(?P<field>[a-z]+):)?(?:"(?P<phrase>[^"]*)"?|(?P<word>\S+))', re.IGNORECASE)
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_BOUND = re.compile(r"(<=|>=|<|>)?(\d+(?:\.\d+)?|\.\d+)\Z")


class Bound(msgspec.Struct, frozen=True):
    """A limit on the confidence: an operator (one of <, <=, >, >=) and a value."""

    operator: str
    value: float


class Query(msgspec.Struct, frozen=True):
    """A parsed `q`. Phrases are tuples of tokens (a word is a phrase of one); each must occur in some field.

    `subject` holds phrases that must occur in the subject, `senders` texts that must occur in the sender, `labels` what
    the label must be (with two different ones nothing is found). Their `excluded_` counterparts must not occur there;
    plain `excluded` must not occur in any field. `hopeless` means that a wanted text has no letter or digit, so that
    nothing can be found: nothing else is indexed.
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
        """Whether the query needs the full-text index."""
        wanted = self.phrases or self.subject or self.senders
        return bool(wanted or self.excluded or self.excluded_subject or self.excluded_senders)


def tokens(text: str) -> list[str]:
    """Return a text's tokens as the index has them: letters and digits without accents, in lower case."""
    if text.isascii():  # the same result from a table, at a third of the cost
        return plain(text).split()
    apart = normalized("NFKD", text.casefold()).casefold()
    folded = "".join(char for char in apart if not unicodedata.combining(char))
    return _WORD.findall(folded)


def plain(text: str) -> str:
    """Return ASCII text with its tokens in lower case and everything between them replaced by spaces."""
    return text.encode().translate(_PLAIN).decode()


def has_longer_token(text: str, length: int) -> bool:
    """Return whether a token of ASCII text has more than `length` characters."""
    return b"x" * (length + 1) in text.encode().translate(_SHAPE)


def parse(q: str) -> Query:
    """Parse a query. Unknown fields, invalid dates and the like are treated as plain text."""
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
    """Yield (negated, field or "", text) of each term, without repetitions and up to MAX_TERMS."""
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
    """Parse `<0.6` and the like; a bare number is a lower bound."""
    match = _BOUND.match(text)
    return Bound(match[1] or ">=", float(match[2])) if match else None


def _moment(text: str) -> float | None:
    """Parse an ISO date or time, in UTC unless it has an offset; return seconds since the epoch."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
