"""The language of `q`: words, "phrases", -not, from:, subject:, class:, confidence:<0.6, before: and after: (ISO dates).

Pure: text in, a Query out, never an error; what is no operator is text. Its tokens are made by the one rule that the index uses
too (`tokens`), so that both databases answer alike.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from storage.records import LABELS

MAX_TERMS = 32
"""So many terms of a query are heeded."""

_WORD = re.compile(r"[^\W_]+")
_PLAIN = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else ord(" ") for code in range(256))
_SHAPE = bytes(ord("x") if code < 128 and chr(code).isalnum() else ord(" ") for code in range(256))
_TERM = re.compile(r'(?P<minus>-?)(?:(?P<field>[a-z]+):)?(?:"(?P<phrase>[^"]*)"?|(?P<word>\S+))', re.IGNORECASE)
_BOUND = re.compile(r"(<=|>=|<|>)?(\d*\.?\d+)\Z")


class Bound(msgspec.Struct, frozen=True):
    """A limit of the confidence: operator (one of <, <=, >, >=) and value."""

    operator: str
    value: float


class Query(msgspec.Struct, frozen=True):
    """What a `q` asks for. Phrases are tuples of tokens (a word is a phrase of one); all of them must be there, in any field.

    `subject` holds phrases that the subject must have, `excluded` those that must be nowhere; `senders` are texts in the sender.
    """

    phrases: tuple[tuple[str, ...], ...] = ()
    excluded: tuple[tuple[str, ...], ...] = ()
    subject: tuple[tuple[str, ...], ...] = ()
    senders: tuple[str, ...] = ()
    label: str | None = None
    confidence: tuple[Bound, ...] = ()
    before: float | None = None
    after: float | None = None

    @property
    def has_text(self) -> bool:
        """Whether the full-text index is needed."""
        return bool(self.phrases or self.excluded or self.subject)


def tokens(text: str) -> list[str]:
    """Text as the index sees it: letters and digits without their accents, in lower case."""
    if text.isascii():  # the same by a table, at a third of the cost
        return plain(text).split()
    apart = unicodedata.normalize("NFKD", text.casefold()).casefold()
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
    found: dict[str, list[tuple[str, ...]]] = {"phrases": [], "excluded": [], "subject": []}
    senders: list[str] = []
    bounds: list[Bound] = []
    single: dict[str, str | float] = {}
    for minus, field, text in _terms(q):
        if not minus and field == "from" and text.strip():
            senders.append(text.strip().casefold())
        elif not minus and field == "class" and text.lower() in LABELS:
            single["label"] = text.lower()
        elif not minus and field == "confidence" and (bound := _bound(text)):
            bounds.append(bound)
        elif not minus and field in {"before", "after"} and (at := _moment(text)) is not None:
            single[field] = at
        elif phrase := tuple(tokens(text if field in {"", "subject"} else f"{field} {text}")):
            found["excluded" if minus else "subject" if field == "subject" else "phrases"].append(phrase)
    return Query(
        phrases=tuple(found["phrases"]),
        excluded=tuple(found["excluded"]),
        subject=tuple(found["subject"]),
        senders=tuple(senders),
        confidence=tuple(bounds),
        **single,  # type: ignore[arg-type]  # each name was put in with its own type above
    )


def _terms(q: str) -> Iterator[tuple[bool, str, str]]:
    """(negated, field or "", text) of each term."""
    for number, match in enumerate(_TERM.finditer(q)):
        if number == MAX_TERMS:
            return
        text = match["phrase"] if match["phrase"] is not None else match["word"]
        yield bool(match["minus"]), (match["field"] or "").lower(), text


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
