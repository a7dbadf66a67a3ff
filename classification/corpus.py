"""Reads labelled emails from JSON lines, for training and for evaluation.

The format is that of the corpus: id, subject, body, label, and more if known.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classification.records import LABELS, Email


class CorpusError(ValueError):
    """A line of labelled mail cannot be read; the message gives its number."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One email with its true label, how sure its reader was (3 clear, 2 likely, 1 a toss-up), and its source.

    `second` is the reader's second choice, empty if there was none.
    """

    email: Email
    label: str
    sure: int
    source: str
    second: str = ""


def read_lines(source: Path | Iterable[str]) -> Iterator[Labelled]:
    """Yield the labelled emails of a JSON-lines file, or of its lines; skips empty lines.

    Raises CorpusError, OSError.
    """
    if isinstance(source, Path):
        with source.open(encoding="utf-8", errors="surrogateescape") as lines:
            yield from read_lines(lines)
        return
    for number, line in enumerate(source, start=1):
        if line.strip():
            yield _read_line(line, number)


def _read_line(line: str, number: int) -> Labelled:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"line {number}: not JSON ({error})") from error
    if not isinstance(record, dict):
        raise CorpusError(f"line {number}: expected an object, found {type(record).__name__}")
    for name in ("subject", "body"):
        if not isinstance(record.get(name), str):
            raise CorpusError(f"line {number}: {name} must be text")
    if record.get("label") not in LABELS:
        raise CorpusError(f"line {number}: label must be one of {', '.join(LABELS)}, not {record.get('label')!r}")
    return labelled(record)


def labelled(record: Mapping[str, Any]) -> Labelled:
    """Convert a record of the corpus; one without a label counts as unknown."""
    headers = record.get("headers")
    sure = record.get("sure")
    return Labelled(
        email=Email(
            subject=record["subject"],
            body=record["body"],
            sender=str(record.get("sender") or ""),
            recipient=str(record.get("recipient") or ""),
            headers=_headers(headers if isinstance(headers, dict) else {}, calendar=bool(record.get("has_calendar"))),
        ),
        label=record.get("label", "unknown"),
        sure=sure if sure in (1, 2, 3) else 3,
        source=str(record.get("source") or ""),
        second=record["second"] if record.get("second") in LABELS else "",
    )


def _headers(given: Mapping[str, Any], *, calendar: bool) -> dict[str, str | list[str]]:
    """Convert the corpus's headers to mime.py's form: values as text, and a calendar part as X-Calendar-Method."""
    headers: dict[str, str | list[str]] = {}
    for name, value in given.items():
        if name == "in-reply-to present":
            headers["in-reply-to"] = "<present>"
        else:
            headers[name] = [str(item) for item in value] if isinstance(value, list) else str(value)
    if calendar:
        headers.setdefault("X-Calendar-Method", "PUBLISH")
    return headers
