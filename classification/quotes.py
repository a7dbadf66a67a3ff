"""Separates an author's own words from quotes, forwarded mail, signatures and footers.

text.py calls it for every email. Plain substring searches come first, so that a mail without quotes costs a few
microseconds; each hit is then checked with a short anchored pattern.
"""

import re

_MOST_TRIES = 40
_READ = 3_000

# Where a quote that runs to the end may begin: a word to search for, and the pattern that its line must match.
_HEADER_BLOCK = re.compile(
    r"[ \t>*|]{0,20}From ?:[^\n]{0,300}\n(?:[^\n]{0,300}\n){0,2}[ \t>]{0,20}(?:Sent|To|Date|Subject|Cc) ?:",
    re.IGNORECASE,
)
_SHORT_BLOCK = re.compile(r"[ \t]{0,20}To ?:[^\n]{0,300}\n(?:[^\n]{0,300}\n){0,6}[ \t]{0,20}(?:cc|Subject|bcc) ?:")
_MARKER = re.compile(
    r"[ \t>*|]{0,20}[-_ ]{0,60}(?:Original Message|Original Appointment|(?:Begin f|F)orwarded (?:message|by))\b",
    re.IGNORECASE,
)
_WROTE = re.compile(r"[ \t>*|]{0,20}(?:On [^\n]{4,120}\n?[^\n]{0,120}|[^\n]{2,80})\bwrote ?:?[ \t]*(?:\n|$)")
_STARTS = (
    ("Original ", _MARKER),
    ("orwarded ", _MARKER),
    ("wrote", _WROTE),
    ("From", _HEADER_BLOCK),
    ("FROM:", _HEADER_BLOCK),
    ("To:", _SHORT_BLOCK),
)
# What begins boilerplate that nobody writes by hand, and how it may continue; it must be at the start of a line,
# or nearly.
_TAILS = (
    ("Disclaimer:", ("",)),
    ("The information ", ("in this", "contained in")),
    ("Confidentiality Note", ("",)),
    ("CONFIDENTIALITY NOTICE", ("",)),
    ("This e", ("-mail is Unclassified", "mail is UNCLASSIFIED")),
    ("This message has", (" been scanned",)),
    ("Sent ", ("from my", "via")),
    ("-- \n", ("",)),
    ("____________________", ("",)),
)
_ATTRIBUTION_END = re.compile(r"(?:wrote|writes|said|schrieb|écrit|says)\s?:?[ \t]*$|:[ \t]*$")
_LOTUS_MARKS = ("/HOU/", "/NA/", "/SFO/", "@E")
_LOTUS_MARK = re.compile(r"/HOU/|/NA/|/SFO/|@ENRON|@EES|@ECT|@Enron")
# A longer line with an address is not an address line: if line breaks were lost, it is the whole mail.
_LONGEST_ADDRESSES = 200
_LOTUS_REST = re.compile(r"[ \t]*(?:\d\d/\d\d/\d{2,4})?[ \t]*(?:\d\d:\d\d )?(?:[AP]M)?[ \t-]*(?:Sent by:.{0,80})?$")


def split_quotes(text: str) -> tuple[str, str]:
    """Return the author's own words and what they quote.

    Lines that start with ">" are quotes anywhere, together with the "... wrote:" above them. A copied header or an
    "Original Message" line begins a quote that runs to the end. Signatures, footers and disclaimers count as quoted.
    Own words beyond the first _READ characters is dropped.
    """
    own, quoted = _split_marked(text) if "\n>" in text or text.startswith(">") else (text, "")
    own = own[:_READ]
    cut = len(own)
    for word, pattern in _STARTS:
        place = own.find(word, 0, cut)
        if place >= 0:
            cut = min(cut, _find_start(own, word, pattern, place))
    for tail, rests in _TAILS:
        place = own.find(tail, 0, cut)
        if place >= 0:
            cut = _find_tail(own, cut, place, tail, rests)
    own, quoted = own[:cut], quoted + own[cut:]
    for mark in _LOTUS_MARKS:
        if mark in own:
            return _without_lotus_lines(own), quoted
    return own, quoted


def _find_start(text: str, word: str, pattern: re.Pattern[str], place: int) -> int:
    for _ in range(_MOST_TRIES):
        if place < 0:
            break
        line = text.rfind("\n", 0, place) + 1
        before = text.rfind("\n", 0, max(0, line - 1)) + 1
        if pattern is _WROTE and text.startswith("On ", before) and pattern.match(text, before):
            return before
        if pattern.match(text, line):
            return line
        place = text.find(word, place + 1)
    return len(text)


def _find_tail(text: str, cut: int, place: int, tail: str, rests: tuple[str, ...]) -> int:
    """Return where the first tail at the start of a line begins, or else `cut`."""
    for _ in range(_MOST_TRIES):
        if place < 0:
            break
        if text.startswith(rests, place + len(tail)) and place - (text.rfind("\n", 0, place) + 1) <= 4:
            return place
        place = text.find(tail, place + 1, cut)
    return cut


def _split_marked(text: str) -> tuple[str, str]:
    own: list[str] = []
    quoted: list[str] = []
    marked = False
    for line in text.split("\n"):
        if line.startswith(">"):
            if not marked:
                quoted += _without_attribution(own)
            quoted.append(line.lstrip("> "))
            marked = True
        else:
            own.append(line)
            marked = marked and not line.strip()
    return "\n".join(own), "\n".join(quoted) + "\n" if quoted else ""


def _without_attribution(own: list[str]) -> list[str]:
    """Remove the "On Monday X wrote:" (one or two lines) above a quote from `own`; return a forward's mark."""
    last = len(own) - 1
    while last >= 0 and not own[last].strip():
        last -= 1
    if last >= 0 and _ATTRIBUTION_END.search(own[last][-40:]):
        first = last - 1 if last and own[last - 1].startswith(("On ", "At ", "In ", "Le ", "Am ")) else last
        mark = own[last:] if _MARKER.match(own[last]) else []
        del own[first:]
        return mark
    return []


def _without_lotus_lines(own: str) -> str:
    """Drop the address lines that Lotus Notes copies above a forwarded text, and the dates around them."""
    return "\n".join(
        line
        for line in own.split("\n")
        if len(line) > _LONGEST_ADDRESSES
        or (not _LOTUS_MARK.search(line) and (not line or line.isspace() or not _LOTUS_REST.match(line)))
    )
