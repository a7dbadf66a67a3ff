"""`run.py tail`: prints events live over the WebSocket; after a lost connection it resumes without a gap."""

import argparse
import json
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import websocket

from actors.events import KINDS
from commands.arguments import JSON_LINES_HELP, add_json, whole
from commands.client import UNSURE, CommandError, OtherServerError
from commands.terminal import behind, cut, label, paint, printable, say
from engine.backoff import backoff
from settings import Settings
from storage.event_log import is_seq

BEGINNING = "beginning"
"""The oldest position in the log, as in web/events.py, which is slow to import."""

BEFORE_SUBJECT = 37  # columns to the left of the subject in a line, at most
SILENCE_S = 20.0
"""After this many seconds of silence a ping is sent; after as many again the connection is given up."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_json(parser, JSON_LINES_HELP)
    parser.add_argument("--event", choices=KINDS, action="append", help="only events of this kind (repeatable)")
    parser.add_argument(
        "--since",
        type=_seq,
        metavar="SEQ",
        help=f"start after this seq, or at `{BEGINNING}` of the log",
    )
    parser.add_argument("-n", "--count", type=whole(1), metavar="N", help="stop after N events")


def _seq(text: str) -> str:
    if text != BEGINNING and not is_seq(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the seq of an event, as `tail --json` shows it, nor `{BEGINNING}`"
        )
    return text


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Print events until Ctrl-C, or until `--count` is reached."""
    left = args.count
    for message in messages(settings.base_url, settings.api_token, args.since):
        if message.get("type") != "email_event":
            _aside(message)
        elif message["event"] in (args.event or KINDS):
            print(json.dumps(message, ensure_ascii=False) if args.json else line(message), flush=True)
            left = None if left is None else left - 1
        if left is not None and left <= 0:
            return


def messages(base_url: str, token: str | None, since: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield all messages over as many connections as it takes.

    Raises CommandError if the server refuses us for good.
    """
    last, failures = since, 0
    while True:
        try:
            for message in _connection(base_url, token, last):
                failures = 0
                last = message.get("seq") or message.get("to") or last
                yield message
        except (websocket.WebSocketException, OSError) as error:
            failures += 1
            if failures == 1:
                say(f"run.py: no connection to {base_url} ({error.__class__.__name__}): trying again")
        time.sleep(backoff(failures or 1, base=0.2, cap=5.0))


def _connection(base_url: str, token: str | None, last: str | None) -> Iterator[dict[str, Any]]:
    """Yield the messages of one connection until it ends."""
    headers = [f"Authorization: Bearer {token}"] if token else []
    try:
        socket = websocket.create_connection(_address(base_url), header=headers, timeout=SILENCE_S, http_no_proxy=["*"])
    except websocket.WebSocketBadStatusException as refused:
        if refused.status_code in (401, 403, 404):
            raise CommandError(f"{base_url} answers {refused.status_code}: check BASE_URL and API_TOKEN") from None
        if refused.status_code in UNSURE or refused.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        raise OtherServerError(f"{base_url} is a different server: set BASE_URL") from None
    except websocket.WebSocketException as error:
        if type(error) is not websocket.WebSocketException:  # its subclasses say that there was no answer
            raise
        raise OtherServerError(f"{base_url} does not answer as a WebSocket server ({error}): set BASE_URL") from None
    try:
        if last is not None:
            socket.send(json.dumps({"command": "subscribe", "topic": "email:all", "since": last}))
        yield from _received(socket)
    finally:
        socket.close(timeout=1)
        socket.shutdown()  # close alone leaves the descriptor open if the other side closed first


def _received(socket: Any) -> Iterator[dict[str, Any]]:
    asked = False
    while True:
        try:
            text = socket.recv()
        except websocket.WebSocketTimeoutException:
            if asked:
                raise
            socket.send(json.dumps({"command": "ping"}))
            asked = True
            continue
        asked = False
        if not text:
            return
        yield json.loads(text)


def _address(base_url: str) -> str:
    parts = urlsplit(base_url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, f"{parts.path.rstrip('/')}/ws/emails/run.py-tail", "", ""))


def _aside(message: dict[str, Any]) -> None:
    """Report what is no event but matters: events that were lost."""
    # `beginning` is no position, and the replay starts with the oldest event.
    if message.get("type") == "gap" and message.get("from") != BEGINNING:
        say(f"run.py: events are missing here: {message.get('reason')}")
    elif message.get("type") == "dropped":
        say(f"run.py: too slow: {message.get('count')} events were skipped")


def line(message: dict[str, Any]) -> str:
    """Format one event for people."""
    data, at = message["data"], str(message.get("timestamp") or "")[11:19]
    match message["event"]:
        case "process" | "label":
            kind = paint("corrected ", "magenta") if message["event"] == "label" else ""
            end, size = behind(printable(data["email_id"]), BEFORE_SUBJECT)
            subject = cut(printable(data.get("subject") or "-"), BEFORE_SUBJECT + size)
            text = f"{kind}{label(data['classification'])} {data['confidence']:.2f}  {subject}{end}"
        case "new":
            text = f"{paint('new', 'blue'):<10} {data['count']} listed"
        case "retry":
            text = f"{paint('retry', 'yellow')} {printable(data['email_id'])}  {data['reason']}: {printable(data['error'])}"
        case _:
            text = f"{paint('dead', 'red')} {printable(data['email_id'])}  {data.get('reason')}: {printable(str(data.get('error')))}"
    return f"{paint(at, 'grey')}  {text}"
