"""`run.py search QUERY` and `run.py export`: search the stored emails, and export results as NDJSON or CSV."""

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

from tqdm import tqdm

from commands.arguments import JSON_LINES_HELP, add_json, whole
from commands.client import CommandError, Server, UsageError
from commands.terminal import behind, cut, label, paint, printable, say, width
from engine.files import make_private, take_place
from settings import Settings

PAGE = 100
BEFORE_SUBJECT = 67  # columns to the left of the subject in a line
COLUMNS = (
    "email_id", "source", "classification", "confidence", "decided_by", "model_version", "below_threshold", "runner_up",
    "processed_at", "processor_id", "processing_time_ms", "queued_ms", "total_ms", "truncated", "sender", "subject",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four are full-width
BLANKS = " \v\f\xa0\u200b\u2028\u2029\u3000\ufeff"
FILTERS = ("q", "classification", "source", "sender", "since", "until")


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `search`."""
    parser.add_argument(
        "query",
        nargs="+",
        metavar="QUERY",
        help='words, "phrases", -not, from:, subject:, class:, confidence:<0.6, before:, after:',
    )
    parser.add_argument("--limit", type=whole(1), default=20, help="how many to list (default %(default)s)")
    add_json(parser, JSON_LINES_HELP)


def search(args: argparse.Namespace, settings: Settings) -> None:
    """Print the matching emails, newest first."""
    server = Server(settings.base_url, settings.api_token)
    count = 0
    for item in _items(server, "/emails", {"q": " ".join(args.query)}, args.limit):
        if not count and not args.json and width() is not None:
            print(f"{'LISTED':<16}  {'CLASS':<10} SURE  {'SENDER':<30}  SUBJECT  ID")
        print(json.dumps(item, ensure_ascii=False) if args.json else _line(item))
        count += 1
    if not count:
        say("nothing matches")


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `export`."""
    parser.add_argument("--format", choices=("ndjson", "csv"), default="ndjson", help="(default %(default)s)")
    parser.add_argument(
        "--json", action="store_const", dest="format", const="ndjson", help="the same as --format ndjson"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write to this file, with a progress bar, instead of standard output",
    )
    parser.add_argument(
        "--content", action="store_true", help="include the emails' bodies (NDJSON only; one more call for each email)"
    )
    parser.add_argument("--limit", type=whole(1), help="at most this many")
    for name in FILTERS:
        parser.add_argument(f"--{name}", help="as in GET /results")


def export(args: argparse.Namespace, settings: Settings) -> None:
    """Write all matching results, newest first."""
    if args.content and args.format == "csv":
        raise UsageError("--content needs --format ndjson")
    server = Server(settings.base_url, settings.api_token)
    wanted = {name: getattr(args, name) for name in FILTERS if getattr(args, name)}
    items = _items(server, "/results", wanted, args.limit)
    if args.content:
        items = (_with_content(server, item) for item in items)
    with ExitStack() as stack:
        stream = sys.stdout if args.output is None else stack.enter_context(_whole(args.output))
        count = _write(tqdm(items, unit="result", disable=args.output is None or None), stream, args.format)
    if args.output is not None:
        say(f"{args.output}: {count} results")


def _items(server: Server, path: str, wanted: dict[str, Any], limit: int | None) -> Iterator[dict[str, Any]]:
    """Yield the items of a list, page by page."""
    cursor, left = None, limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = server.get(path, limit=size, **wanted, **({"cursor": cursor} if cursor else {}))
        yield from page["items"]
        left = None if left is None else left - len(page["items"])
        cursor = page["next_cursor"]
        if not cursor:
            return


def _with_content(server: Server, item: dict[str, Any]) -> dict[str, Any]:
    path = f"/results/{quote(item['email_id'], safe='')}"
    answer: dict[str, Any] = server.get(path, source=item["source"], include_content="true")
    return {**item, "body": answer.get("body")}


def _write(items: Any, stream: TextIO, format_: str) -> int:
    count = 0
    table = csv.writer(stream, lineterminator="\r\n") if format_ == "csv" else None
    if table:
        table.writerow(COLUMNS)
    for item in items:
        count += 1
        if table:
            table.writerow([_cell(item.get(name)) for name in COLUMNS])
        else:
            stream.write(json.dumps(item, ensure_ascii=False) + "\n")
    return count


def _cell(value: Any) -> Any:
    """Mark as text what a spreadsheet would take for a formula: subjects are untrusted."""
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.lstrip(BLANKS).startswith(FORMULA) else value


@contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    """Open a file that takes its place only once it is complete; a failure leaves what was there before."""
    if path.exists() and not path.is_file():  # a pipe or a device has no place to take
        with _opened(path) as stream:
            yield stream
        return
    target = path.resolve()  # the file behind a link, not the link
    draft = target.with_name(target.name + ".part")
    opened = _opened(draft, shown=path, private=True)
    try:
        with opened as stream:
            yield stream
        take_place(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _opened(path: Path, *, shown: Path | None = None, private: bool = False) -> TextIO:
    try:
        if private:
            make_private(path)
        return path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise CommandError(f"{shown or path}: {error.strerror or error}") from None


def _line(item: dict[str, Any]) -> str:
    result = item.get("result") or {}
    sure = f"{result['confidence']:.2f}" if result else "    "
    state = "" if item["state"] == "processed" else f" [{item['state']}]"
    who = printable(item.get("sender") or "")[:30]
    end, size = behind(printable(item["email_id"]), BEFORE_SUBJECT + len(state))
    text = cut(printable(item.get("subject") or "-"), BEFORE_SUBJECT + len(state) + size) + paint(state, "yellow")
    at = paint(item["listed_at"][:16].replace("T", " "), "grey")
    return f"{at}  {label(result.get('classification'))} {sure}  {who:<30}  {text}{end}"
