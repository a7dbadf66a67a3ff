"""`run.py import PATH`: sends real mail (mbox, Maildir, .eml files) through the simulator and the whole system.

An email's id is the hash of its raw message, so importing it again changes nothing. The run goes on after a bad
message, an unreadable file, or a server that is killed and restarted meanwhile.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from classification.mailfiles import Skip, has_headers, iter_messages
from classification.mime import message_id, parse_message
from commands.arguments import JSON_HELP, add_json
from commands.client import CommandError, Server
from commands.simulated import advance, audit_of, find_simulator, send, wait_settled
from commands.terminal import counted, say
from settings import Settings

CHUNK, CHUNK_BYTES = 200, 4 * 1024 * 1024
PATIENCE = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "path",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="an mbox file, a Maildir, a folder of .eml files, or one .eml file",
    )
    parser.add_argument("--no-wait", action="store_true", help="only send, do not wait for the results")
    add_json(parser, f"{JSON_HELP}; the bars go to standard error")


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Send, wait, report."""
    server = Server(settings.base_url, settings.api_token)
    simulator = find_simulator(server)
    paths = [path for path in args.path if _exists(path)]
    before = audit_of(server)
    server.patience = simulator.patience = PATIENCE  # sending the same email twice changes nothing
    sent = _send_all(simulator, paths, settings.max_body_bytes)
    told: dict[str, Any] = {"read": sent.read, "sent": len(sent.ids), "unreadable": sent.unreadable}
    if not args.json:
        print(_summary(sent))
    for path, number in sent.without_headers.items():
        say(f"{path}: {counted(number, 'file')} without mail headers: is this mail?")
    if not args.no_wait:
        told |= _outcome(server, before, sent)
    if args.json:
        print(json.dumps(told))
    elif not args.no_wait:
        _report(told)


class Sent:
    """What has been read and sent so far."""

    def __init__(self) -> None:
        self.read = 0
        self.ids: set[str] = set()
        self.last: list[str] = []  # one id per batch
        self.unreadable = 0  # files and folders
        self.without_headers: Counter[Path] = Counter()  # by the path given

    def skip(self, path: Path, error: OSError) -> None:
        """Report a file that cannot be read, and count it."""
        self.unreadable += 1
        tqdm.write(f"{path} cannot be read ({_cause(error)})", file=sys.stderr)


def _send_all(simulator: Server, paths: Sequence[Path], max_body_bytes: int) -> Sent:
    sent = Sent()
    total = sum(1 for _ in _messages(paths, lambda *_: None))
    with tqdm(total=total, unit="email", desc="sent") as bar:
        for chunk in _chunks(paths, max_body_bytes, sent):
            ids = send(simulator, chunk)
            sent.ids.update(ids)
            sent.last.append(ids[-1])
            bar.update(sent.read - bar.n)
        bar.update(sent.read - bar.n)
    return sent


def _chunks(paths: Sequence[Path], max_body_bytes: int, sent: Sent) -> Iterator[list[dict[str, Any]]]:
    """Yield emails in batches bounded by number and by bytes."""
    chunk: list[dict[str, Any]] = []
    size = 0
    for path, raw in _messages(paths, sent.skip):
        sent.read += 1
        if not has_headers(raw):
            sent.without_headers[path] += 1
        email = _email(raw, max_body_bytes)
        chunk.append(email)
        size += len(email["body"])
        if len(chunk) >= CHUNK or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _email(raw: bytes, max_body_bytes: int) -> dict[str, Any]:
    parsed = parse_message(raw, max_body_bytes)
    return {
        "id": message_id(raw),
        "subject": parsed.subject,
        "body": parsed.body,
        "sender": parsed.sender,
        "recipient": parsed.recipient,
        "headers": parsed.headers,
        "priority": "low",
    }


def _outcome(server: Server, before: dict[str, int], sent: Sent) -> dict[str, Any]:
    """Wait until all emails have a result or a dead letter, and count these."""
    with tqdm(total=len(sent.ids), unit="email", desc="done") as bar:
        after = wait_settled(server, sent.last, seconds=PATIENCE, tell=lambda now: advance(bar, before, now))
    new = {name: after[name] - before[name] for name in ("listed", "results", "dead")}
    classes = server.get("/stats")["emails_by_classification"]
    return {**new, "unaccounted": after["unaccounted"], "emails_by_classification": classes}


def _summary(sent: Sent) -> str:
    same = sent.read - len(sent.ids)
    parts = [f"{counted(sent.read, 'message')} read, {len(sent.ids):,} sent"]
    parts += [f"{same:,} the same as another"] if same else []
    parts += [f"{sent.unreadable:,} could not be read"] if sent.unreadable else []
    return "; ".join(parts)


def _report(told: dict[str, Any]) -> None:
    print(
        f"{told['listed']:,} new in the books: {counted(told['results'], 'result')}, {counted(told['dead'], 'dead letter')}; "
        f"unaccounted {told['unaccounted']}"
    )
    print("all results in the books, by class:")
    for label, number in told["emails_by_classification"].items():
        print(f"  {label:<10} {number}")


def _messages(paths: Sequence[Path], skip: Skip) -> Iterator[tuple[Path, bytes]]:
    """Yield all messages with the path each was found under.

    Raises CommandError if a given path itself cannot be read.
    """
    for path in paths:
        try:
            for raw in iter_messages(path, skip):
                yield path, raw
        except OSError as error:
            raise CommandError(f"{path} cannot be read ({_cause(error)})") from None


def _exists(path: Path) -> bool:
    try:
        found = path.exists()
    except OSError as error:
        raise CommandError(f"{path} cannot be read ({_cause(error)})") from None
    if not found:
        raise CommandError(f"{path} does not exist")
    return True


def _cause(error: OSError) -> str:
    return error.strerror or type(error).__name__
