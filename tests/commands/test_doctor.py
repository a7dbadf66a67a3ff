"""`run.py doctor`: with real stores, running or not, it reports what is wrong and what to do about it."""

import argparse
import json
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import gevent
import pytest

from commands import doctor
from settings import Settings
from settings.sources import SourceSetting
from storage import backup as copies
from storage import redis_client
from storage.database import Database
from storage.embedded import EmbeddedValkey
from storage.statements import execute
from tests.commands.http_server import SmallServer

AWAY = "http://127.0.0.1:1"


@pytest.fixture
def look(tmp_path: Path, capsys):
    """Runs the doctor; returns (exit code, findings)."""

    def run(**given: Any) -> tuple[int, list[dict[str, str]]]:
        settings = Settings(**{"data_dir": tmp_path, "base_url": AWAY, **given})
        code = doctor.run(argparse.Namespace(json=True), settings)
        return code, json.loads(capsys.readouterr().out)

    return run


def about(found: list[dict[str, str]], name: str) -> dict[str, str]:
    return next(each for each in found if each["about"] == name)


def test_a_fresh_machine_is_well_with_everything_down(look):
    code, found = look()
    assert code == 0
    assert [each["level"] for each in found] == ["ok", "ok", "ok", "ok", "ok", "note"]
    assert "nothing answers" in about(found, "server")["text"]


def test_stores_that_run_are_asked(look, valkey_url, tmp_path):
    database = Database(f"sqlite:///{tmp_path}/emails.db")
    database.migrate()
    database.close()
    code, found = look(redis_url=valkey_url)
    assert code == 0
    assert "append-only" in next(each["text"] for each in found if each["about"] == "redis")
    assert "0 emails" in about(found, "database")["text"]


def test_what_is_away_is_bad_and_says_what_to_do(look):
    code, found = look(redis_url="redis://127.0.0.1:1/0", fakemail_api_url=AWAY)
    assert code == 1
    for name in ("redis", "fakemail"):
        assert about(found, name)["level"] == "bad"
        assert about(found, name)["advice"]


def test_what_answers_and_is_no_redis_is_bad(look, small_server: SmallServer):
    code, found = look(redis_url=small_server.url.replace("http", "redis", 1))
    assert code == 1
    assert [(each["level"], each["text"]) for each in found if each["about"] == "redis"][-1] == (
        "bad",
        'Redis: Protocol error, got "H" as reply type byte',
    )


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ({"fakemail_api_url": AWAY}, "FAKEMAIL_API_URL"),
        ({"fakemail_sources": (SourceSetting(name="sales", url=AWAY),)}, "FAKEMAIL_SOURCES"),
    ],
)
def test_an_account_that_is_away_is_looked_at_where_it_is_set(look, given, setting):
    _, found = look(**given)
    assert setting in about(found, "fakemail")["advice"]


def test_an_embedded_valkey_that_hangs_is_bad_and_one_that_was_killed_is_not(look, tmp_path, monkeypatch):
    monkeypatch.setattr(redis_client, "TIMEOUT", 0.2)
    (tmp_path / "valkey").mkdir()
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(tmp_path / "valkey" / "valkey.sock"))
        frozen.listen()
        code, found = look()
        assert (code, about(found, "redis")["level"]) == (1, "bad")
        assert "Timeout" in about(found, "redis")["text"]
    code, found = look()
    assert (code, about(found, "redis")["level"]) == (0, "ok")


def test_an_embedded_valkey_that_listens_on_a_port_is_asked(look, tmp_path):
    folder = tmp_path / ("long" * 25)
    server = EmbeddedValkey(folder)
    server.start()
    try:
        assert server.url.startswith("redis://")
        assert "it answers" in about(look(data_dir=folder)[1], "redis")["text"]
    finally:
        server.stop()
    assert "it is not running" in about(look(data_dir=folder)[1], "redis")["text"]


def test_one_that_hangs_so_long_that_nobody_more_can_queue_is_not_waited_for(tmp_path):
    with socket.socket(socket.AF_UNIX) as frozen, socket.socket(socket.AF_UNIX) as first:
        frozen.bind(str(tmp_path / "valkey.sock"))
        frozen.listen(0)
        first.connect(str(tmp_path / "valkey.sock"))
        with gevent.Timeout(5.0):
            assert doctor._listens(f"unix://{tmp_path}/valkey.sock")


def test_a_newer_or_damaged_database_is_bad(look, tmp_path):
    path = tmp_path / "emails.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.write(execute, "UPDATE meta SET value = '9999' WHERE name = 'schema_version'")
    allowed = about(look()[1], "database")
    assert (allowed["level"], "schema is 9999" in allowed["text"]) == ("note", True)
    database.write(execute, "UPDATE meta SET value = '9999' WHERE name = 'schema_oldest'")
    database.close()
    refused = about(look()[1], "database")
    assert (refused["level"], "schema is 9999" in refused["text"]) == ("bad", True)
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    code, found = look()
    assert (code, about(found, "database")["level"]) == (1, "bad")


@pytest.mark.parametrize("begin", [0.0, 0.017, 0.4, 0.5])
def test_a_damaged_database_is_said_to_be_damaged_and_to_want_its_backup(look, tmp_path, begin):
    path, copy = tmp_path / "emails.db", tmp_path / "emails.backup"
    with closing(Database(f"sqlite:///{path}")) as database:
        database.migrate()
        copies.backup(database, copy)
    whole = path.read_bytes()
    at = int(len(whole) * begin)
    path.write_bytes(whole[:at] + b"\xde\xad" * 10_000 + whole[at + 20_000 :])
    code, found = look()
    told = about(found, "database")
    assert (code, told["level"]) == (1, "bad")
    assert f"{path} is damaged" in told["text"]
    assert "python3 run.py restore" in told["advice"]
    copies.restore(f"sqlite:///{path}", copy)
    assert about(look()[1], "database")["level"] == "ok"


def test_too_little_disk_is_bad(look):
    code, found = look(min_free_disk_mb=10**6)
    assert (code, about(found, "disk")["level"]) == (1, "bad")


def test_an_open_door_is_noted(look):
    _, found = look(host="0.0.0.0", allow_anonymous=True)
    notes = [each["text"] for each in found if each["about"] == "settings" and each["level"] == "note"]
    assert len(notes) == 2


@pytest.mark.parametrize(
    ("url", "notes"), [("https://me.example", 1), ("https://me.example/", 1), ("https://me.example/webhook", 0), ("https://me.example/hooks/a?b=c", 0)]
)  # fmt: skip
def test_a_webhook_without_a_path_is_noted(look, url, notes):
    _, found = look(webhook_url=url)
    assert len([each for each in found if each["about"] == "fakemail" and "no path" in each["text"]]) == notes


def test_without_a_token_it_says_why_there_is_no_reason(look, small_server: SmallServer):
    parts = {"fakemail": {"status": "degraded"}}
    small_server.answers["GET", "/health"] = 200, {"status": "degraded", "version": "1", "components": parts}
    _, found = look(base_url=small_server.url)
    assert "fakemail is degraded: the reason is told only to those with a token: set API_TOKEN" in str(found)


def test_a_running_server_tells_what_is_wrong(look, small_server: SmallServer):
    small_server.answers |= {
        ("GET", "/health"): (200, {"status": "degraded", "version": "1", "components": {"redis": {"status": "healthy"}, "fakemail": {"status": "unhealthy", "reason": "away"}}}),
        ("GET", "/audit"): (200, {"listed": 5, "results": 3, "unaccounted": 1}),
        ("GET", "/stats"): (200, {"dead_letters": 1, "queue_depth": 0}),
        ("GET", "/actors"): (200, {"paused": True}),
    }  # fmt: skip
    code, found = look(base_url=small_server.url)
    assert code == 1
    texts = " ".join(each["text"] for each in found if each["about"] == "server")
    for word in ("fakemail is unhealthy: away", "1 emails are unaccounted", "1 dead letters", "paused"):
        assert word in texts


@pytest.mark.parametrize(
    ("status", "body", "level", "text"),
    [(200, "<html>", "bad", "is a different server"), (200, {}, "bad", "is a different server"), (502, "", "note", "nothing answers")],
)  # fmt: skip
def test_another_server_is_told_from_none(look, small_server: SmallServer, status, body, level, text):
    small_server.answers["GET", "/health"] = (status, body)
    _, found = look(base_url=small_server.url)
    told = about(found, "server")
    assert (told["level"], text in told["text"]) == (level, True)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://[::1]", True),
        ("http://[::1]:8025/x", True),
        ("http://me:pw@127.0.0.1:8025", True),
        ("http://localhost", True),
        ("http://LOCALHOST/", True),
        ("http://127.0.0.1@mail.example", False),
        ("http://mail.example:8025", False),
        ("http://[fd00::1]", False),
    ],
)
def test_a_loopback_url_is_told_from_others(url, loopback):
    assert doctor.is_loopback_url(url) is loopback


def test_people_get_lines_without_colours_in_a_pipe(tmp_path, capsys):
    doctor.run(argparse.Namespace(json=False), Settings(data_dir=tmp_path, base_url=AWAY))
    out = capsys.readouterr().out
    assert "ok    disk" in out
    assert "→ if it should run" in out
    assert "\x1b" not in out


def test_colours_come_on_a_terminal_only(monkeypatch):
    from commands.terminal import paint

    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert paint("x", "red", Terminal()) == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("x", "red", Terminal()) == "x"
