"""msgspec versus pydantic for what the web does: check a request, encode a page, make the schemas, be imported.

`python -m benchmarks.validation` prints microseconds (best of several interleaved rounds) and ratios; the decision is
in docs/decisions/0003-msgspec.md. Pydantic is not among our requirements: without it the benchmark exits and says so.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

try:
    import pydantic
except ImportError:
    sys.exit("pydantic is not installed: pip install pydantic, to measure beside it")

ROUNDS, SECONDS = 7, 0.1
LABELS = Literal["meeting", "promotion", "intro", "unknown"]


class Request(msgspec.Struct, forbid_unknown_fields=True):
    subject: str
    body: str
    sender: str = ""
    headers: dict[str, str | list[str]] = {}


class PydanticRequest(pydantic.BaseModel, extra="forbid", strict=True):
    subject: str
    body: str
    sender: str = ""
    headers: dict[str, str | list[str]] = {}


class Item(msgspec.Struct):
    email_id: str
    classification: LABELS
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]
    processed_at: str
    processing_time_ms: float
    queued_ms: float | None
    truncated: bool


class PydanticItem(pydantic.BaseModel):
    email_id: str
    classification: LABELS
    confidence: Annotated[float, pydantic.Field(ge=0, le=1)]
    processed_at: str
    processing_time_ms: float
    queued_ms: float | None
    truncated: bool


class Page(msgspec.Struct):
    items: list[Item]
    next_cursor: str | None


class PydanticPage(pydantic.BaseModel):
    items: list[PydanticItem]
    next_cursor: str | None


REQUEST = {"subject": "Lunch", "body": "word " * 280, "sender": "a@example.org", "headers": {"to": ["b", "c"]}}
ITEM = {
    "email_id": "email-0001",
    "classification": "meeting",
    "confidence": 0.93,
    "processed_at": "2026-01-31T12:00:00.000Z",
    "processing_time_ms": 0.4,
    "queued_ms": 12.5,
    "truncated": False,
}
RAW = json.dumps(REQUEST).encode()
WRONG = {**REQUEST, "body": 1}
PAGE = msgspec.convert({"items": [ITEM] * 20, "next_cursor": "x"}, Page)
PYDANTIC_PAGE = PydanticPage.model_validate({"items": [ITEM] * 20, "next_cursor": "x"})


def wrong_msgspec() -> None:
    try:
        msgspec.convert(WRONG, Request)
    except msgspec.ValidationError as error:
        str(error)


def wrong_pydantic() -> None:
    try:
        PydanticRequest.model_validate(WRONG)
    except pydantic.ValidationError as error:
        str(error)


PAIRS: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "check a parsed request of 1.4 KB": (
        lambda: msgspec.convert(REQUEST, Request),
        lambda: PydanticRequest.model_validate(REQUEST),
    ),
    "parse and check it": (
        lambda: msgspec.json.decode(RAW, type=Request),
        lambda: PydanticRequest.model_validate_json(RAW),
    ),
    "refuse a wrong one, with its message": (wrong_msgspec, wrong_pydantic),
    "encode a page of 20 results": (lambda: msgspec.json.encode(PAGE), PYDANTIC_PAGE.model_dump_json),
    "make the schema of a page": (
        lambda: msgspec.json.schema_components([Page]),
        PydanticPage.model_json_schema,
    ),
}


def microseconds(work: Callable[[], object]) -> float:
    """Return the mean time of one call, over one round."""
    count, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < SECONDS:
        for _ in range(10):
            work()
        count += 10
    return spent / count * 1e6


def import_ms(module: str) -> float:
    """Return how long a fresh interpreter takes to import a module, minus its own start-up time."""

    def run(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - began

    return min(run(f"import {module}") for _ in range(5)) * 1e3 - min(run("pass") for _ in range(5)) * 1e3


def main() -> None:
    print(f"{'':40} {'msgspec':>10} {'pydantic':>10} {'ratio':>6}")
    for name, works in PAIRS.items():
        rounds = [tuple(microseconds(work) for work in works) for _ in range(ROUNDS)]
        ours, theirs = (min(column) for column in zip(*rounds, strict=True))
        print(f"{name:40} {ours:8.2f}us {theirs:8.2f}us {theirs / ours:6.1f}")
    ours, theirs = import_ms("msgspec.json"), import_ms("pydantic; pydantic.BaseModel")
    print(f"{'import':40} {ours:8.1f}ms {theirs:8.1f}ms {theirs / ours:6.1f}")


if __name__ == "__main__":
    main()
