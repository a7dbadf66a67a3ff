"""Decide by a client's Accept header (RFC 9110) whether it prefers a page to JSON.

Used by web/dispatch.py. Only a client that names `text/html` gets a page: one that accepts anything (`*/*`) gets JSON.
"""

import re

QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
HTML = ("text/html",)
JSON = ("application/json", "application/*", "*/*")
"""Most specific first; the first range that the client names decides."""


def prefers_html(accept: str) -> bool:
    """Return whether `text/html` is named and JSON is not preferred to it."""
    ranges = dict(_read(each) for each in accept.lower().split(","))
    html = _quality(ranges, HTML)
    return html > 0 and html >= _quality(ranges, JSON)


def _quality(ranges: dict[str, float], fitting: tuple[str, ...]) -> float:
    return next((ranges[each] for each in fitting if each in ranges), 0.0)


def _read(text: str) -> tuple[str, float]:
    """Return a media range and its quality. An unreadable quality counts as 1, as if it were absent."""
    media, *parameters = (part.strip() for part in text.split(";"))
    given = next((part[2:].strip() for part in parameters if part.startswith("q=")), "1")
    return media, float(given) if QUALITY.fullmatch(given) else 1.0
