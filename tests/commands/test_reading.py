"""`run.py search` and `export`: all pages are read, and no CSV cell is a formula."""

import argparse
import csv
import io
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from commands import reading
from commands.client import CommandError
from settings import Settings
from tests.commands.http_server import SmallServer


def item(number: int, **changes: Any) -> dict[str, Any]:
    return {"email_id": f"mail-{number}", "source": "main", "classification": "intro", "confidence": 0.8,
            "subject": f"subject {number}", "sender": "a@b.example", **changes}  # fmt: skip


@pytest.fixture
def server(small_server: SmallServer) -> SmallServer:
    small_server.answers["GET", "/results"] = (200, {"items": [item(1), item(2)], "next_cursor": None})
    return small_server


def export(server: SmallServer, *words: str) -> None:
    parser = argparse.ArgumentParser()
    reading.add_export_arguments(parser)
    reading.export(parser.parse_args(words), Settings(base_url=server.url))


def test_results_are_lines_of_json(server, capsys):
    export(server, "--classification", "intro", "--q", "from:b")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [item(1), item(2)]
    assert parse_qs(server.asked[-1].query) == {"limit": ["100"], "classification": ["intro"], "q": ["from:b"]}


def test_all_pages_are_walked_up_to_the_limit(server, capsys, monkeypatch):
    monkeypatch.setattr(reading, "PAGE", 2)
    server.answers["GET", "/results"] = (200, {"items": [item(1), item(2)], "next_cursor": "more"})
    export(server, "--limit", "4")
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert [parse_qs(asked.query).get("cursor") for asked in server.asked] == [None, ["more"]]


@pytest.mark.parametrize(("columns", "shown"), [(111, "a subject that goes…"), (60, "a subject…"), (None, "")])
def test_a_long_subject_is_cut_with_a_sign_where_the_terminal_ends(server, capsys, monkeypatch, columns, shown):
    subject = "a subject that goes on and on"
    found = {"email_id": "a-very-\nlong-id", "subject": subject, "state": "dead", "listed_at": "2026-11-29T03:00:00Z"}
    server.answers["GET", "/emails"] = (200, {"items": [found], "next_cursor": None})
    monkeypatch.setattr("commands.terminal.width", lambda: columns)
    parser = argparse.ArgumentParser()
    reading.add_search_arguments(parser)
    reading.search(parser.parse_args(["subject"]), Settings(base_url=server.url))
    out = capsys.readouterr().out
    assert f"  {shown or subject} [dead]" in out
    last = out.splitlines()[-1]
    assert last.endswith("  a-very- long-id")
    assert (last.split()[0] == "a-very-") == (columns == 60), "on a line of its own where there is no room"
    assert columns != 111 or max(len(line) for line in out.splitlines()) == columns


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", "  =", "\uff1d", "\uff20", "\xa0=", "\ufeff=", "\v="]
)
def test_a_subject_is_no_formula(server, tmp_path, start, capsys):
    evil = f'{start}HYPERLINK("http://evil.example"),"x"\n2'
    server.answers["GET", "/results"] = (200, {"items": [item(1, subject=evil)], "next_cursor": None})
    file = tmp_path / "out.csv"
    export(server, "--format", "csv", "--output", str(file))
    [row] = csv.DictReader(io.StringIO(file.read_bytes().decode(), newline=""))
    assert row["subject"] == "'" + evil
    assert row["confidence"] == "0.8"
    assert "1 results" in capsys.readouterr().err


def test_content_is_fetched_for_each(server, capsys):
    server.answers["GET", "/results"] = (200, {"items": [item(1)], "next_cursor": None})
    server.answers["GET", "/results/mail-1"] = (200, {**item(1), "body": "text"})
    export(server, "--content")
    assert json.loads(capsys.readouterr().out)["body"] == "text"


def test_a_table_has_no_bodies(server):
    with pytest.raises(CommandError, match="ndjson"):
        export(server, "--content", "--format", "csv")


def test_a_file_that_cannot_be_written_is_one_line(server, tmp_path: Path):
    with pytest.raises(CommandError, match="No such file"):
        export(server, "--output", str(tmp_path / "no" / "file"))
    with pytest.raises(CommandError, match="Is a directory"):
        export(server, "--output", str(tmp_path))


def test_an_export_that_fails_leaves_the_file_as_it_was(server, tmp_path: Path):
    server.answers["GET", "/results"] = (200, {"items": [item(1)], "next_cursor": None})
    server.answers["GET", "/results/mail-1"] = (503, {"title": "Service Unavailable"})
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("as it was")
    for file in (old, new):
        with pytest.raises(CommandError, match="503"):
            export(server, "--content", "--output", str(file))
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert old.read_text() == "as it was"


def test_an_export_replaces_the_file_behind_a_link_and_writes_into_a_pipe(server, tmp_path: Path):
    file, link, pipe = tmp_path / "file", tmp_path / "link", tmp_path / "pipe"
    file.write_text("old")
    file.chmod(0o644)
    link.symlink_to(file)
    export(server, "--output", str(link))
    assert link.is_symlink()
    assert [json.loads(line) for line in file.read_text().splitlines()] == [item(1), item(2)]
    assert file.stat().st_mode & 0o777 == 0o644
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        export(server, "--output", str(pipe))
        assert os.read(reader, 65536) == file.read_bytes()
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_what_is_found_is_safe_on_a_terminal(small_server, capsys):
    found = {"email_id": "a", "state": "dead", "listed_at": "2026-01-31T12:00:00.000Z", "subject": "Hi\x1b[31m", "sender": None,
             "result": None}  # fmt: skip
    small_server.answers["GET", "/emails"] = (200, {"items": [found], "next_cursor": None})
    parser = argparse.ArgumentParser()
    reading.add_search_arguments(parser)
    reading.search(parser.parse_args(["from:a", "-draft"][:1]), Settings(base_url=small_server.url))
    assert "Hi [31m [dead]  a\n" in capsys.readouterr().out
    small_server.answers["GET", "/emails"] = (200, {"items": [], "next_cursor": None})
    reading.search(parser.parse_args(["nothing", "--json"]), Settings(base_url=small_server.url))
    assert capsys.readouterr() == ("", "nothing matches\n")
