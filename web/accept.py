"""Whether a client would rather have a page than JSON, by its Accept header (RFC 9110).

Used by web/dispatch.py. A page goes to those alone who name `text/html`: a program that takes anything (`*/*`) gets JSON.
"""

import re

QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
HTML = ("text/html",)
JSON = ("application/json", "application/*", "*/*")
"""The most exact range that fits decides."""


def prefers_html(accept: str) -> bool:
    """Whether `text/html` is named, and nothing is better liked that JSON fits too."""
    ranges = dict(_read(each) for each in accept.lower().split(","))
    html = _quality(ranges, HTML)
    return html > 0 and html >= _quality(ranges, JSON)


def _quality(ranges: dict[str, float], fitting: tuple[str, ...]) -> float:
    return next((ranges[each] for each in fitting if each in ranges), 0.0)


def _read(text: str) -> tuple[str, float]:
    """A range and its quality; one that cannot be read counts as 1, as if it were not there."""
    media, *parameters = (part.strip() for part in text.split(";"))
    given = next((part[2:].strip() for part in parameters if part.startswith("q=")), "1")
    return media, float(given) if QUALITY.fullmatch(given) else 1.0
