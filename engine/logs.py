"""Logs: readable on a terminal, or one JSON object per line; never in the way of the work.

Set up once per process, with or without gevent. A line is formatted where it is logged, and written by one native
thread from a bounded queue (engine/log_writer.py): a stuck pipe costs log lines, which are counted, but never a turn
of the hub. Control characters in outside data are escaped, so that no text can forge a line or control a terminal.

Fields of a JSON line: `time` (RFC 3339, UTC), `level`, `logger`, `process`, `message`, the known ids (CONTEXT_IDS),
and `detail` with a traceback or another dump of several lines.
"""

import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from engine.events import HUB_LAG, LOGS_DROPPED, Bus
from engine.log_writer import LogWriter
from engine.timestamps import timestamp

T = TypeVar("T")

CONTEXT_IDS = (
    "request_id", "webhook_id", "source", "email_id", "email_ids", "history_id", "look", "mailbox", "actor", "reason",
    "count",
)  # fmt: skip
"""Ids and the like that a line can carry, set by `extra={...}` or `bear`. They lead from a notification to its results."""

QUEUE_LINES = 10_000

_COLOURS = {"DEBUG": "\x1b[2m", "INFO": "", "WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[1;31m"}
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_hidden: list[str] = []
_SHORTEST = 6
"""Shorter secrets are not masked: they could be part of any word."""
_borne: ContextVar[MappingProxyType[str, Any]] = ContextVar("borne", default=MappingProxyType({}))


def setup(
    level: str,
    form: str,
    process: str,
    *,
    descriptor: int = 1,
    colours: bool | None = None,
    hidden: Iterable[str] = (),
) -> LogWriter:
    """Send all logs of this process to `descriptor`, and return the writer.

    `form` is console or json; `colours` None means only on a terminal; for `hidden` see `hide`.
    """
    hide(*hidden)
    writer = LogWriter(descriptor, limit=QUEUE_LINES)
    coloured = os.isatty(descriptor) if colours is None else colours
    handler = _Handler(writer)
    handler.setFormatter(JsonFormatter(process) if form == "json" else ConsoleFormatter(process, coloured=coloured))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    return writer


def bear(**ids: Any) -> None:
    """From now on, add these ids to the lines of this greenlet, in place of earlier ones."""
    _borne.set(MappingProxyType(ids))


def tell_dropped(writer: LogWriter, bus: Bus) -> None:
    """From now on, report dropped lines on the bus, once a second, together with the hub's lag."""
    told = 0

    def look(_event: str, _fields: dict[str, Any]) -> None:
        nonlocal told
        count, told = writer.dropped - told, writer.dropped
        if count:
            bus.emit(LOGS_DROPPED, count=count)

    bus.subscribe(look, HUB_LAG)


def hide(*secrets: str) -> None:
    """From now on, mask these words wherever they occur in a line, as they are or as JSON, whichever code logs them."""
    for secret in secrets:
        spellings = (secret, json.dumps(secret, ensure_ascii=False)[1:-1])
        _hidden.extend(each for each in spellings if len(secret) >= _SHORTEST and each not in _hidden)


def _masked(line: str) -> str:
    for secret in _hidden:
        if secret in line:
            line = line.replace(secret, "********")
    return line


def escape(text: str) -> str:
    """Turn control characters, line breaks and direction overrides into visible escapes."""
    return _UNSAFE.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


class _Handler(logging.Handler):
    """Formats a line at once, and leaves the writing to the writer."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self.writer = writer

    def createLock(self) -> None:  # noqa: N802  (logging's own name)
        """Set no lock: `put` is atomic, and a lock could be held by a greenlet that waits."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Do the same as logging.Handler, without the lock."""
        passed = self.filter(record)
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the line."""
        try:
            self.writer.put(_masked(self.format(record)).encode("utf-8", "backslashreplace") + b"\n")
        except Exception:  # noqa: BLE001  (a line that cannot be formatted must not break its caller)
            self.handleError(record)

    def flush(self) -> None:
        """Wait briefly for the writer; called at the end of the process."""
        self.writer.flush(0.5)


class JsonFormatter(logging.Formatter):
    """Formats one object per line; also escapes the characters that JSON allows but a terminal would act on."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return a line with the fields named at the top of this file."""
        line = {
            "time": timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "process": self.process,
            "message": _escaped_surrogates(record.getMessage()),
            **_ids(record),
        }
        detail = _detail(self, record)
        if detail:
            line["detail"] = _escaped_surrogates(detail)
        text = msgspec.json.encode(line, enc_hook=str).decode()
        return _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


class ConsoleFormatter(logging.Formatter):
    """Formats a line for people; details follow below it, indented, so that nothing can pass for a line of its own."""

    def __init__(self, process: str, *, coloured: bool) -> None:
        super().__init__()
        self.process, self.coloured = process, coloured

    def format(self, record: logging.LogRecord) -> str:
        """Return `time LEVEL process logger: message id=value`."""
        ids = "".join(f" {name}={escape(_plain(value))}" for name, value in _ids(record).items())
        level = f"{record.levelname:<7}"
        if self.coloured:
            level = f"{_COLOURS.get(record.levelname, '')}{level}\x1b[0m"
        head = f"{timestamp(record.created)} {level} {self.process} {record.name}: {escape(record.getMessage())}{ids}"
        below = _detail(self, record).splitlines()
        return "\n".join([head, *(f"    | {escape(line)}" for line in below)])


def _detail(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """Return the `detail` given in `extra`, or the traceback."""
    trace = formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
    return str(getattr(record, "detail", "")) or trace


def _ids(record: logging.LogRecord) -> dict[str, Any]:
    known = {**_borne.get(), **{name: getattr(record, name) for name in CONTEXT_IDS if hasattr(record, name)}}
    return {name: _shown(value) for name, value in known.items()}


def _shown(value: Any) -> int | float | str | list[str]:
    """Return an id as a JSON value."""
    if isinstance(value, list):
        return [_escaped_surrogates(str(each)) for each in value]
    return value if isinstance(value, int | float) else _escaped_surrogates(str(value))


def _plain(value: Any) -> str:
    """Return an id as text for people."""
    return " ".join(value) if isinstance(value, list) else str(value)


def _escaped_surrogates(text: str) -> str:
    """Show lone surrogates, which cannot be encoded, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


class Folded:
    """Logs the first few of many similar lines, then `… and N more` for each window."""

    def __init__(self, logger: logging.Logger, window: float = 1.0, *, first: int = 3) -> None:
        self.logger, self.window, self.first = logger, window, first
        self._until = 0.0
        self._shown = self._hidden = 0
        self._what = ""

    def info(self, message: str, *args: object, extra: dict[str, Any] | None = None) -> None:
        """Log a line, or count it."""
        if not self.logger.isEnabledFor(logging.INFO):
            return
        if self._shows():
            self.logger.info(message, *args, extra=extra)
        else:
            self._hide(message, 1)

    def infos(self, message: str, items: Sequence[T], ids: Callable[[T], dict[str, Any]]) -> None:
        """Log or count a line for each item; `ids` is called only for those that are logged."""
        if not self.logger.isEnabledFor(logging.INFO):
            return
        for number, item in enumerate(items):
            if not self._shows():
                self._hide(message, len(items) - number)
                return
            self.logger.info(message, extra=ids(item))

    def _shows(self) -> bool:
        """Whether to log one more line in this window."""
        now = time.monotonic()
        if now >= self._until:
            self._until, self._shown = now + self.window, 0
        self._shown += 1
        return self._shown <= self.first

    def _hide(self, message: str, count: int) -> None:
        self._what = message.partition("%")[0].strip(" :,")
        self._hidden += count
        if self._hidden == count:
            timer = threading.Timer(max(0.0, self._until - time.monotonic()), self.flush)
            timer.daemon = True
            timer.start()

    def flush(self) -> None:
        """Log how many lines were counted but not logged."""
        hidden, self._hidden = self._hidden, 0
        if hidden:
            self.logger.info("%s … and %d more", self._what, hidden, extra={"count": hidden})
