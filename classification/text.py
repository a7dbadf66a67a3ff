"""Extracts what an author wrote from raw subject and body: HTML becomes text, quotes and oddities are removed.

encoding.py calls it for every email, as do explain and training, so everything here is linear in the text and bounded
by caps. A reply is judged by its own words, and a bare forward by what it forwards.
"""

import html
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from classification.quotes import split_quotes
from engine.unicode import normalized

MAX_RAW = 300_000
MAX_TEXT = 20_000
MAX_READ = 5_000
MAX_OWN = 1_500
MAX_SUBJECT = 1_000
MAX_SENDER = 320
# HTML is read in pieces of _PIECE characters. No tag or entity that is recognised is as long as _LONGEST.
_PIECE, _LONGEST = 4_096, 5_100
# Fewer letters than _SHORT may be a mere "please handle" above a forward; fewer than _NOTHING are no words at all.
_SHORT = 14
_NOTHING = 3
_FORWARD_SUBJECTS = ("fw:", "fwd:", "wg:", "tr:")

_TAG_HINT = re.compile(r"<(?:html|body|div|p|br|table|td|span|font|head|!doctype|a\s+href)\b", re.IGNORECASE)
_HIDDEN_BLOCK = re.compile(r"<(script|style|title)\b", re.IGNORECASE)
_LINE_TAG = re.compile(r"<(?:br|/p|/div|/tr|/h[1-6]|li|/table)\b[^<>]{0,2000}>", re.IGNORECASE)
# In two steps: one pattern for both would search for the tag's end again after each `alt=` of a tag that has no end.
_IMAGE = re.compile(r"<img\b([^<>]{0,3300})>", re.IGNORECASE)
_ALT = re.compile(r"\balt\s{0,3}=\s{0,3}[\"']([^\"'<>]{1,300})[\"']", re.IGNORECASE)
_ANY_TAG = re.compile(r"<(?:!--|[a-z/!])[^<>]{0,5000}>", re.IGNORECASE)
# int() raises on so many digits.
_HUGE_NUMBER = re.compile(r"&#[0-9]{4301,};?")
_HIDDEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_CONTROLS = ("\x00", "\x01", "\x02", "\x07", "\x08", "\x1b", "\x7f")
# The commonest non-ASCII characters of word processors; most texts are plain ASCII without them.
_TYPOGRAPHY = (
    ("\u2019", "'"),
    ("\u2018", "'"),
    ("\u00a0", " "),
    ("\u201c", '"'),
    ("\u201d", '"'),
    ("\u2013", "-"),
    ("\u2014", " - "),
    ("\u2026", "..."),
    ("\u2022", " "),
)
_CONTROL_TABLE = dict.fromkeys((*range(9), 11, *range(14, 32), 127), " ")
_SURROGATE = re.compile("[\ud800-\udfff]")

_FORWARD = re.compile(r"[ \t>]{0,20}(?:-{3,40} ?Forwarded (?:by|message)|Begin forwarded message)", re.IGNORECASE)
# What precedes a forwarded mail. If line breaks were lost, the mail continues in the line of the first two.
_FORWARD_HEADER = re.compile(
    r"^[ \t>]{0,20}(?:-{3,40} ?Forwarded by [^\n]{0,120}?(?:\n[\d:APM ]{0,12})?-{3,40}|Begin forwarded message:|"
    r"(?:-{0,40} ?(?:Original Message|Forwarded|Begin forwarded)|_{3,}|"
    r"(?:From|Sent|To|Cc|cc|bcc|Date|Subject|Importance|Attachments) ?:)[^\n]{0,500}$)",
    re.MULTILINE | re.IGNORECASE,
)


@dataclass(slots=True)
class Text:
    """The readable parts of one email: subject, the author's own words, quotes, sender, and flags for oddities."""

    subject: str
    own: str
    quoted: str
    sender: str
    forward: bool
    flags: list[str]


def read(subject: str, body: str, sender: str = "") -> Text:
    """Split an email into its own words and its quotes; a bare forward's own words are what it forwards."""
    flags: list[str] = []
    text = plain(body, flags)
    if len(subject) > MAX_SUBJECT:
        flags.append("truncated")
    clean_subject = tidy(subject[:MAX_SUBJECT], flags)
    own, quoted = split_quotes(text)
    forward = False
    if quoted and _adds_nothing(own, clean_subject, quoted):
        forwarded, rest = split_quotes(_FORWARD_HEADER.sub("", quoted))
        letters = _letters(own)
        forward = letters < _NOTHING or _letters(forwarded) >= letters
        if forward:
            own, quoted = forwarded, rest
    if (not own or own.isspace()) and not clean_subject.strip():
        flags.append("empty")
    flags = list(dict.fromkeys(flags)) if flags else flags
    return Text(clean_subject, own[:MAX_OWN], quoted, sender[:MAX_SENDER], forward, flags)


def _adds_nothing(own: str, subject: str, quoted: str) -> bool:
    """Return whether there are no own words, or a mere "FYI, see below" above a forwarded mail."""
    if len(own) > 400 or _letters(own[: 3 * _SHORT]) >= _SHORT:
        return False
    letters = _letters(own)
    if letters < _NOTHING:
        return True
    return letters < _SHORT and (subject.lower().startswith(_FORWARD_SUBJECTS) or bool(_FORWARD.match(quoted)))


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def plain(body: str, flags: list[str]) -> str:
    """Turn HTML into text, tidy it, and cut it to what the label depends on; append what was done to `flags`."""
    if len(body) > MAX_RAW:
        body = body[:MAX_RAW]
        flags.append("truncated")
    if "<" in body and _TAG_HINT.search(body, 0, 5_000):
        body = html_to_text(body, enough=MAX_TEXT)
        flags.append("html")
    if len(body) > MAX_TEXT:
        flags.append("truncated")
    return tidy(body[:MAX_READ], flags)


def tidy(text: str, flags: list[str]) -> str:
    """Remove invisible and control characters, and fold compatibility forms (full-width letters, ligatures)."""
    for character in _CONTROLS:
        if character in text:
            text = text.translate(_CONTROL_TABLE)
            flags.append("control_characters")
            break
    if text.isascii():
        return text
    for character, plain_one in _TYPOGRAPHY:
        if character in text:
            text = text.replace(character, plain_one)
    if text.isascii():
        return text
    if _SURROGATE.search(text):
        text = _SURROGATE.sub("\ufffd", text)
        flags.append("broken_unicode")
    if _HIDDEN.search(text):
        text = _HIDDEN.sub("", text)
        flags.append("hidden_characters")
    return normalized("NFKC", text)


def _alternative(image: re.Match[str]) -> str:
    """Return an image's alternative text, or the tag itself if it has none."""
    found = _ALT.search(image[1])
    return f" {found[1]} " if found else image[0]


# The steps from HTML to text. What a step changes begins with the mark beside it and does not contain another.
_STEPS: tuple[tuple[Callable[[str], str], str], ...] = (
    (partial(_IMAGE.sub, _alternative), "<"),
    (partial(_LINE_TAG.sub, "\n"), "<"),
    (partial(_ANY_TAG.sub, " "), "<"),
    (lambda text: html.unescape(_HUGE_NUMBER.sub("\ufffd", text)), "&"),
)


def html_to_text(source: str, enough: int | None = None) -> str:
    """Turn HTML into text.

    Scripts and styles are dropped, block ends become line breaks, images become their alternative text. With `enough`,
    text beyond that many characters may be left out, but the result is then always longer than `enough`.
    """
    shown = _drop_hidden_blocks(source)
    if enough is None or len(shown) <= _PIECE:
        for step, _ in _STEPS:
            shown = step(shown)
        return shown
    pieces: Iterable[str] = (shown,)
    for step, mark in _STEPS:
        pieces = _by_pieces(step, pieces, mark)
    return _beginning(pieces, enough)


def _by_pieces(step: Callable[[str], str], pieces: Iterable[str], mark: str) -> Iterator[str]:
    """Apply `step` piece by piece, as if to the whole.

    What a mark near a piece's end begins may continue in the next piece.
    """
    kept = ""
    for piece in pieces:
        for at in range(0, len(piece), _PIECE):
            kept += piece[at : at + _PIECE]
            if len(kept) >= _PIECE:
                begun = kept.rfind(mark, max(0, len(kept) - _LONGEST))
                whole = len(kept) if begun < 0 else begun
                yield step(kept[:whole])
                kept = kept[whole:]
    yield step(kept)


def _beginning(pieces: Iterable[str], enough: int) -> str:
    found: list[str] = []
    size = 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size > enough:
            break
    return "".join(found)


def without_markup(source: str) -> str:
    """Return HTML with scripts, styles and tags replaced by spaces, so that places in it are places in the source."""
    blanked = "".join(" " * len(piece) if hidden else piece for piece, hidden in _pieces(source))
    return _ANY_TAG.sub(lambda tag: " " * len(tag[0]), blanked)


def _drop_hidden_blocks(source: str) -> str:
    return "".join(piece for piece, hidden in _pieces(source) if not hidden)


def _pieces(source: str) -> Iterator[tuple[str, bool]]:
    """Yield pieces of HTML, and whether a script, style or title hides each."""
    position = 0
    lowered = source.lower()
    while found := _HIDDEN_BLOCK.search(source, position):
        yield source[position : found.start()], False
        end = lowered.find("</" + found.group(1).lower(), found.end())
        if end < 0:
            # An unclosed block hides nothing that a reader would miss; continuing after its tag keeps this linear.
            yield found[0], True
            position = found.end()
            break
        yield source[found.start() : end], True
        position = end
    yield source[position:], False
