"""Logs: fields, ids, safety from hostile text, and a stuck reader that blocks nobody."""

import json
import logging
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import gevent
import pytest

from engine import logs
from engine.events import HUB_LAG, LOGS_DROPPED, Bus
from engine.logs import ConsoleFormatter, Folded, JsonFormatter, bear, escape
from tests.engine.helpers import until

ROOT = Path(__file__).parents[2]
SECRET = 'hunter2"\\hunter2'
HOSTILE = "evil\r\n2026-01-01 ERROR forged\x1b[2J\x00\u2028\u202edne\x9b1m \ud800"


def record(message="hello %s", *args, **fields):
    made = logging.LogRecord("actors.lister", logging.WARNING, "f.py", 1, message, args or ("you",), None)
    made.__dict__.update(fields)
    return made


def fail(text):
    raise ValueError(text)


def test_a_console_line_has_time_level_process_logger_and_ids():
    line = ConsoleFormatter("front", coloured=False).format(record(source="main", email_id="id 9"))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING front actors\.lister: hello you source=main email_id=id 9",
        line,
    )


def test_colours_are_for_terminals_only():
    assert "\x1b[33mWARNING" in ConsoleFormatter("front", coloured=True).format(record())
    assert "\x1b" not in ConsoleFormatter("front", coloured=False).format(record())


def test_a_json_line_is_one_object_with_the_documented_fields():
    line = json.loads(JsonFormatter("front").format(record(source="main", count=3)))
    assert set(line) == {"time", "level", "logger", "process", "message", "source", "count"}
    assert (line["level"], line["message"], line["count"]) == ("WARNING", "hello you", 3)


def test_several_ids_are_an_array_for_machines_and_words_for_people():
    told = record(email_ids=["a b", "c\ud800"])
    assert json.loads(JsonFormatter("front").format(told))["email_ids"] == ["a b", "c\\ud800"]
    assert ConsoleFormatter("front", coloured=False).format(told).endswith("email_ids=a b c\\ud800")


@pytest.mark.parametrize(
    "formatter", [ConsoleFormatter("front", coloured=False), JsonFormatter("front")], ids=["console", "json"]
)
def test_hostile_text_stays_within_its_line_and_away_from_the_terminal(formatter):
    line = formatter.format(record("subject %s", HOSTILE, email_id=HOSTILE))
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u202e]", line)
    line.encode("utf-8", "strict" if line.startswith("{") else "backslashreplace")


def test_escaping_keeps_what_is_harmless():
    assert escape("Grüße 你好 🙂 a\\b") == "Grüße 你好 🙂 a\\b"
    assert escape("a\nb\x1b") == "a\\nb\\x1b"


def test_a_traceback_stands_below_its_line_and_cannot_pass_for_one():
    try:
        fail("bad\n2026-01-01T00:00:00.000Z ERROR front forged")
    except ValueError:
        made = record(exc_info=sys.exc_info())
    first, *below = ConsoleFormatter("front", coloured=False).format(made).split("\n")
    assert first.endswith("hello you")
    assert below
    assert all(line.startswith("    | ") for line in below)
    assert "ValueError: bad" in json.loads(JsonFormatter("front").format(made))["detail"]


def test_ids_that_a_greenlet_bears_are_in_every_line_of_it_and_in_no_others():
    def line(**fields):
        return json.loads(JsonFormatter("front").format(record(**fields)))

    def one(name):
        bear(request_id=name, source="main")
        gevent.sleep(0)
        return line(source="other")

    told = [greenlet.get() for greenlet in [gevent.spawn(one, "r1"), gevent.spawn(one, "r2")]]
    assert [(each["request_id"], each["source"]) for each in told] == [("r1", "other"), ("r2", "other")]
    assert "request_id" not in line()


@pytest.fixture
def pipe():
    """A pipe to log to. Nobody logs to it any more when its ends are closed: a database may get their numbers next."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    ours, theirs = os.pipe()
    yield ours, theirs
    for handler in root.handlers:
        handler.flush()
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_secret_is_masked_whatever_characters_it_has(pipe, monkeypatch, form):
    ours, theirs = pipe
    monkeypatch.setattr(logs, "_hidden", [])
    writer = logs.setup("INFO", form, "front", descriptor=theirs, hidden=[SECRET])
    logging.getLogger("x").info("refused: %s", SECRET)
    writer.flush(2.0)
    line = os.read(ours, 1000).decode()
    assert "refused: ********" in line
    assert "hunter2" not in line


def test_lines_are_written_by_another_thread_and_flushed_at_the_end(pipe):
    ours, theirs = pipe
    writer = logs.setup("INFO", "console", "front", descriptor=theirs)
    logging.getLogger("x").info("hello")
    logging.getLogger("x").debug("not this")
    writer.flush(2.0)
    written = os.read(ours, 1000).decode()
    assert written.endswith(" INFO    front x: hello\n")
    assert written.count("\n") == 1


def test_a_stuck_reader_costs_lines_and_no_time(pipe, monkeypatch):
    ours, theirs = pipe
    monkeypatch.setattr(logs, "QUEUE_LINES", 50)
    writer, bus, told = logs.setup("INFO", "json", "front", descriptor=theirs), Bus(), []
    logs.tell_dropped(writer, bus)
    bus.subscribe(lambda _event, fields: told.append(fields["count"]), LOGS_DROPPED)
    log, longest = logging.getLogger("x"), 0.0
    for _ in range(2_000):
        began = time.perf_counter()
        log.info("x" * 1_000)
        longest = max(longest, time.perf_counter() - began)
    assert longest < 0.25
    assert writer.dropped > 1_000
    for _ in range(2):
        bus.emit(HUB_LAG, lags=[0.0], longest=0.0)
    assert told == [writer.dropped]
    seen = b""
    while b"log lines were dropped" not in seen:
        seen = seen[-100:] + os.read(ours, 65_536)


def test_it_works_without_gevent_and_a_closed_pipe_ends_nobody(tmp_path):
    script = (
        "import logging, sys; from engine import logs; w = logs.setup('INFO', 'console', 'launcher'); "
        "[logging.getLogger('x').info('hello %d', n) for n in range(1000)]; logging.shutdown(); "
        "assert 'gevent' not in sys.modules; open(sys.argv[1], 'w').write('ended well')"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "end")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert run.stdout
    run.stdout.close()
    assert run.wait(10) == 0
    assert (tmp_path / "end").read_text() == "ended well"


def test_many_like_lines_are_folded(caplog):
    caplog.set_level(logging.INFO)
    folded = Folded(logging.getLogger("web"), window=0.05, first=2)
    for number in range(100):
        folded.info("Received webhook %d", number)
    until(lambda: any("more" in message for message in caplog.messages))
    assert caplog.messages == ["Received webhook 0", "Received webhook 1", "Received webhook … and 98 more"]


def test_a_batch_is_folded_and_only_what_is_shown_is_asked_for_its_ids(caplog):
    caplog.set_level(logging.INFO)
    folded = Folded(logging.getLogger("pool"), window=0.05, first=2)
    asked: list[int] = []

    def ids(number: int) -> dict[str, int]:
        asked.append(number)
        return {"count": number}

    folded.infos("Processed", range(100), ids)
    until(lambda: any("more" in message for message in caplog.messages))
    assert caplog.messages == ["Processed", "Processed", "Processed … and 98 more"]
    assert asked == [0, 1]


def test_few_lines_are_not_folded(caplog):
    caplog.set_level(logging.INFO)
    folded = Folded(logging.getLogger("web"), window=0.01, first=2)
    for number in range(4):
        folded.info("Received webhook %d", number)
        time.sleep(0.011)
    assert len(caplog.messages) == 4
