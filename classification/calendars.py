"""Extracts the lines of an iCalendar part that people read: method, title, start, end, place, organizer, description.

mime.py calls it for text/calendar parts, so that an invitation without text is still labelled by its content.
"""

import re
from datetime import datetime

MAX_SOURCE = 200_000
_MAX_VALUE = 2_000
_FOLD = re.compile(r"\r?\n[ \t]")
_LINE = re.compile(
    r"^(METHOD|SUMMARY|DTSTART|DTEND|LOCATION|ORGANIZER|DESCRIPTION)\b([^:\r\n]{0,300}):([^\r\n]*)", re.MULTILINE
)
_TITLES = {
    "SUMMARY": "Summary",
    "DTSTART": "Start",
    "DTEND": "End",
    "LOCATION": "Location",
    "ORGANIZER": "Organizer",
    "DESCRIPTION": "Description",
}


def calendar_text(source: str) -> tuple[str, str]:
    """Return the METHOD ("" if there is none), and the first event as readable lines."""
    unfolded = _FOLD.sub("", source[:MAX_SOURCE])
    event = unfolded.find("BEGIN:VEVENT")
    method = ""
    found: dict[str, str] = {}
    for line in _LINE.finditer(unfolded):
        name, _, value = line.groups()
        if name == "METHOD":
            method = method or value.strip().upper()[:20]
        elif line.start() > event and name not in found:
            # A time zone's DTSTART comes before the event and does not belong to it.
            found[name] = _readable(name, value.strip()[:_MAX_VALUE])
    lines = [f"{title}: {found[name]}" for name, title in _TITLES.items() if found.get(name)]
    return method, "\n".join(lines)


def _readable(name: str, value: str) -> str:
    if name in {"DTSTART", "DTEND"}:
        return _readable_time(value)
    value = value.replace("\\n", "\n").replace("\\N", "\n")
    return re.sub(r"\\([,;\\])", r"\1", value)


def _readable_time(value: str) -> str:
    for pattern, shown in (("%Y%m%dT%H%M%S", "%A, %d %B %Y %H:%M"), ("%Y%m%d", "%A, %d %B %Y")):
        try:
            moment = datetime.strptime(value.rstrip("Z"), pattern)  # noqa: DTZ007 (only printed again, in its own zone)
        except ValueError:
            continue
        return moment.strftime(shown) + (" UTC" if value.endswith("Z") else "")
    return value
