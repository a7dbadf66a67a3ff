"""Parsing what clients send: strict JSON bodies, query strings, cursors and times; invalid input is a 400 or 422.

Called by web/dispatch.py and the handlers. The standard library parses the JSON, since its hooks see duplicate names
and NaN, which faster parsers let pass; msgspec then validates the fields against the model. The cost is linear in the
number of bytes.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

import msgspec

from engine.turns import off_the_hub
from engine.unicode import whole_json
from engine.wording import explain
from storage.query import tokens
from web.problems import Problem, misfit

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

MAX_DEPTH = 32
MAX_DIGITS = 19
TOO_LARGE = 10**MAX_DIGITS
TOO_LONG = f"a whole number has more than {MAX_DIGITS} digits"
MAX_QUERY_FIELDS = 64
MAX_ON_HUB = 64 * 1024
"""A longer body is parsed on another thread: the worst of 4 MiB takes half a second."""

FIRST_SECOND = -62_135_596_800  # the year 1
LAST_SECOND = 253_370_764_800  # the start of 9999: calendar arithmetic cannot go beyond that year
CURSOR = re.compile(r"([a-z]{1,16}):([0-9]{1,18})", re.ASCII)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?", re.ASCII
)
WHOLE = re.compile(r"-?[0-9]+", re.ASCII)
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(raw: bytes) -> Any:
    """Decode a JSON body; raises Problem 400 with the reason."""
    value = decoded(raw)
    _check(value)
    return whole_json(value) if SURROGATE.search(raw) else value


def decoded(raw: bytes) -> Any:
    """Decode a JSON body without the checks of what is in it, for a caller who ignores most of it; raises Problem 400."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Problem(400, "the body is not valid UTF-8") from None
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise Problem(400, f"the JSON is nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Problem(400, f"the body is not valid JSON: {error.msg} ({where})") from None
    except ValueError:  # Python's own limit of 4,300 digits
        raise Problem(400, TOO_LONG) from None


def read_model(raw: bytes, kind: type[T]) -> T:
    """Convert a JSON body to the model `kind`: 400 if it is not JSON, 422 naming the field that does not fit."""
    value = read_json(raw) if len(raw) <= MAX_ON_HUB else off_the_hub(read_json, raw)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise misfit(*explain(error, kind)) from None


def whole_filter(request: Any, kind: type[S], source: str | None = None) -> S:
    """Merge the conditions in a request's `filter` with those beside it and the `source` of its query.

    Raises Problem 422 for a condition in two places.
    """
    names: tuple[str, ...] = kind.__struct_fields__
    for name in names:
        if getattr(request, name) is not None and getattr(request.filter, name) is not None:
            raise misfit(name, "is also in filter")
    found = {name: getattr(request, name) for name in names}
    inner = {name: getattr(request.filter, name) for name in names}
    if source is not None:
        if found["source"] is not None or inner["source"] is not None:
            raise misfit(place_of(request, "source"), "is also in the query")
        inner["source"] = source
    return kind(**found | {name: value for name, value in inner.items() if value is not None})


def place_of(request: Any, name: str) -> str:
    """Return where the client wrote that condition."""
    return name if getattr(request, name) is not None else f"filter.{name}"


def read_query(query: str, kind: type[T]) -> T:
    """Convert a query string to the model `kind`; raises Problem 400 naming the parameter. Unknown ones are ignored."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS, errors="strict")
    except ValueError:
        raise Problem(400, "the query string cannot be read") from None
    values = dict(pairs)
    if len(values) != len(pairs):
        raise misfit(_twice(pairs), "appears twice in the query", 400)
    try:
        read = msgspec.convert({name: value for name, value in values.items() if value}, kind, strict=False)
    except msgspec.ValidationError as error:
        raise misfit(*explain(error, kind, text_only=True), 400) from None
    _refuse_misread(values, read)
    return read


def _refuse_misread(values: Mapping[str, str], read: Any) -> None:
    """Refuse what msgspec accepts too readily: the word "null" as an absent value, and 1e1 as a whole number."""
    for field in msgspec.structs.fields(read):
        text, value = values.get(field.encode_name, ""), getattr(read, field.name)
        if text.lower() == "null" and value is None:
            message = "must not be null"
        elif text and type(value) is int and not WHOLE.fullmatch(text):
            message = "must be a whole number"
        else:
            continue
        raise misfit(field.encode_name, message, 400)


def make_cursor(kind: str, before: int | None) -> str | None:
    """Return an opaque cursor of a list, or None at its end."""
    return None if before is None else base64.urlsafe_b64encode(f"{kind}:{before}".encode()).decode().rstrip("=")


def read_cursor(kind: str, cursor: str | None) -> int | None:
    """Return where the next page begins; raises Problem 400 for a cursor that is not one of this list's."""
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    match = CURSOR.fullmatch(text)
    if match is None or match[1] != kind:
        raise misfit("cursor", "must be a next_cursor of this list", 400)
    return int(match[2])


def read_number(text: str) -> int:
    """Return the number in a path that identifies a row, or 0, which identifies none, if it is invalid."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < MAX_DIGITS else 0


def read_time(name: str, text: str | None, status: int = 400) -> float | None:
    """Convert an ISO 8601 date or time (UTC by default) to seconds since the epoch; raises Problem (in a body 422)."""
    if text is None:
        return None
    try:
        seconds = _seconds(text)
    except (ValueError, OverflowError):
        seconds = None
    if seconds is None:
        raise misfit(name, "must be a date or a time in ISO 8601, such as 2026-01-31 or 2026-01-31T12:00:00Z", status)
    if not FIRST_SECOND <= seconds < LAST_SECOND:
        raise misfit(name, "must be in one of the years 1 to 9998", status)
    return seconds


def read_sender(name: str, text: str | None, status: int = 400) -> str | None:
    """Return a filter by sender; raises Problem if it has no letter or digit, since it would match everything."""
    if text is not None and not tokens(text):
        raise misfit(name, "must contain a letter or a digit", status)
    return text


def _seconds(text: str) -> float | None:
    if DAY.fullmatch(text):
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC).timestamp()
    if MOMENT.fullmatch(text):
        moment = datetime.fromisoformat(text.upper())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None


def _check(value: Any) -> None:
    """Refuse JSON that is nested too deep, and numbers that other parsers would read differently."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        numbers = [each for each in level if type(each) is int or type(each) is float]
        if numbers and not (min(numbers) > -TOO_LARGE and max(numbers) < TOO_LARGE):
            _check_numbers(numbers)
        nested = [each for each in level if isinstance(each, dict | list)]
        if not nested:
            return
        level = [item for each in nested for item in (each.values() if isinstance(each, dict) else each)]
    raise Problem(400, f"the JSON is nested deeper than {MAX_DEPTH} levels")


def _check_numbers(numbers: list[int | float]) -> None:
    if any(isinstance(each, int) and abs(each) >= TOO_LARGE for each in numbers):
        raise Problem(400, TOO_LONG)
    if any(isinstance(each, float) and math.isinf(each) for each in numbers):
        raise Problem(400, "a number is too large")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Problem(400, f"the name {_twice(pairs)[:100]!r} appears twice in one JSON object")
    return found


def _twice(pairs: list[tuple[str, Any]]) -> str:
    """Return the first repeated name; there must be one."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            break
        seen.add(name)
    return name


def _constant(name: str) -> NoReturn:
    raise Problem(400, f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
