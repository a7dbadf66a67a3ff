"""`run.py dead-letters`: each action is one call to the running server."""

import argparse
import json

import pytest

from commands import dead_letters
from commands.client import CommandError
from commands.terminal import table
from settings import Settings
from tests.commands.http_server import Answer, Asked, SmallServer

LETTER = {"id": 3, "email_id": "a\x1b[31m", "reason": "gone", "attempts": 1}
ANSWERS: dict[tuple[str, str], Answer] = {
    ("GET", "/dead-letters"): (200, {"items": [LETTER], "next_cursor": None}),
    ("GET", "/dead-letters/groups"): (200, {"items": []}),
    ("GET", "/dead-letters/3"): (200, LETTER),
    ("POST", "/dead-letters/3/replay"): (200, {"replayed": 1}),
    ("DELETE", "/dead-letters/3"): (204, None),
    ("POST", "/dead-letters/replay"): (200, {"replayed": 7}),
}


def call(server: SmallServer, *words: str) -> Asked:
    """Run the command with these words; return the last request that it made."""
    server.answers |= ANSWERS
    parser = argparse.ArgumentParser()
    dead_letters.add_arguments(parser)
    dead_letters.run(parser.parse_args(words), Settings(base_url=server.url))
    return server.asked[-1]


def test_the_list_is_safe_on_a_terminal(small_server, capsys):
    asked = call(small_server, "list", "--reason", "gone", "--limit", "5")
    assert (asked.path, sorted(asked.query.split("&"))) == ("/dead-letters", ["limit=5", "reason=gone"])
    assert capsys.readouterr().out == "3  a [31m  gone  1\n"


def test_no_dead_letters_is_said(small_server, capsys):
    call(small_server, "groups")
    assert capsys.readouterr().out == "no dead letters\n"


def test_one_is_shown_as_a_whole(small_server, capsys):
    call(small_server, "show", "3")
    assert json.loads(capsys.readouterr().out) == LETTER


@pytest.mark.parametrize(
    ("words", "method", "path", "out"),
    [
        (["replay", "3"], "POST", "/dead-letters/3/replay", "1 dead letter replayed\n"),
        (["delete", "3"], "DELETE", "/dead-letters/3", "done\n"),
    ],
)
def test_one_is_replayed_or_discarded(small_server, capsys, words, method, path, out):
    asked = call(small_server, *words)
    assert (asked.method, asked.path) == (method, path)
    assert capsys.readouterr().out == out


def test_many_are_replayed_by_reason_and_counted_first(small_server):
    assert call(small_server, "replay-all", "--reason", "gone", "--dry-run").json == {"reason": "gone", "dry_run": True}
    assert call(small_server, "replay-all").json == {"dry_run": False}


def test_everything_is_there_for_machines(small_server, capsys):
    call(small_server, "--json", "list")
    assert json.loads(capsys.readouterr().out) == {"items": [LETTER], "next_cursor": None}


def test_every_filter_of_the_interface_is_there(small_server):
    words = ["--source", "main", "--email-id", "a/1", "--since", "2026-01-01", "--until", "2026-02-01"]
    wanted = {"source": "main", "email_id": "a/1", "since": "2026-01-01", "until": "2026-02-01"}
    assert call(small_server, "replay-all", *words, "--per-second", "5").json == {
        **wanted,
        "per_second": 5,
        "dry_run": False,
    }
    assert min(call(small_server, "list", *words).query.split("&")) == "email_id=a%2F1"


@pytest.mark.parametrize("state", ["done", "failed"])
def test_a_large_replay_is_waited_for(small_server, capsys, monkeypatch, state):
    monkeypatch.setattr(dead_letters, "TASK_PAUSE_S", 0.01)
    task: dict[str, object] = {"id": 9, "done": 0, "total": None, "counts": {}, "error": "no"}
    monkeypatch.setitem(ANSWERS, ("POST", "/dead-letters/replay"), (202, {**task, "state": "queued"}))
    ended = {**task, "state": state, "done": 700, "total": 700, "counts": {"replayed": 699}}
    monkeypatch.setitem(ANSWERS, ("GET", "/tasks/9"), (200, ended))
    if state == "failed":
        with pytest.raises(CommandError, match="failed: no"):
            call(small_server, "replay-all")
    else:
        call(small_server, "replay-all")
        assert capsys.readouterr().out == "699 dead letters replayed; 1 dead letter could not be\n"


def test_a_dry_run_is_told_in_a_sentence(small_server, capsys, monkeypatch):
    answer = {"matched": 7, "replayed": 0, "dry_run": True}
    monkeypatch.setitem(ANSWERS, ("POST", "/dead-letters/replay"), (200, answer))
    call(small_server, "replay-all", "--dry-run")
    assert capsys.readouterr().out == "7 dead letters would be replayed\n"


def test_on_a_terminal_the_columns_have_headings_and_are_cut_to_its_width(small_server, capsys, monkeypatch):
    monkeypatch.setattr("commands.terminal.width", lambda: 40)
    letters = [{**LETTER, "error": "x" * 90}, {**LETTER, "id": 12, "email_id": "b", "dead_at": None}]
    assert "…" in table([{"id": "x" * 90, "reason": "gone"}], ("id", "reason"))
    assert table([{"id": "x" * 90, "reason": "gone"}], ("id", "reason")).endswith("  gone")
    monkeypatch.setitem(ANSWERS, ("GET", "/dead-letters"), (200, {"items": letters, "next_cursor": None}))
    call(small_server, "list")
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading == "ID  EMAIL ID  REASON  ATTEMPTS  DEAD AT…"
    assert first.startswith("3   a [31m    gone    1")
    assert len(first) == 40
    assert second == "12  b         gone    1"
