"""`run.py rules`: each action is one call to the running server; a rule comes from a file or a pipe."""

import argparse
import io
import json

import pytest

from commands import rules
from commands.client import CommandError
from settings import Settings
from tests.commands.http_server import Answer, Asked, SmallServer

RULE = {
    "name": "news",
    "conditions": [{"field": "sender", "op": "contains", "value": "news"}],
    "classification": "promotion",
}
KEPT = {**RULE, "id": 3, "place": 1, "enabled": False, "name": "news\x1b[31m", "priority": None}
ANSWERS: dict[tuple[str, str], Answer] = {
    ("GET", "/rules"): (200, {"items": [KEPT], "version": 1}),
    ("GET", "/rules/3"): (200, KEPT),
    ("POST", "/rules"): (201, KEPT),
    ("POST", "/rules/test"): (200, {"matched": 2}),
    ("PUT", "/rules/3"): (200, KEPT),
    ("DELETE", "/rules/3"): (204, None),
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rule.json"
    path.write_text(json.dumps(RULE))
    return str(path)


def call(server: SmallServer, *words: str) -> Asked:
    server.answers |= ANSWERS
    parser = argparse.ArgumentParser()
    rules.add_arguments(parser)
    rules.run(parser.parse_args(words), Settings(base_url=server.url))
    return server.asked[-1]


def test_the_list_is_safe_on_a_terminal(small_server, capsys):
    call(small_server, "list")
    assert capsys.readouterr().out == "1  3  news [31m  promotion  (off)\n"


def test_a_rule_is_tried_added_changed_and_deleted(small_server, file, capsys):
    assert call(small_server, "test", file).json == {"rule": RULE}
    assert call(small_server, "add", file).json == RULE
    asked = call(small_server, "change", "3", file)
    assert (asked.method, asked.path, asked.json) == ("PUT", "/rules/3", RULE)
    assert call(small_server, "show", "3").path == "/rules/3"
    capsys.readouterr()
    assert call(small_server, "--json", "delete", "3").method == "DELETE"
    assert capsys.readouterr().out == "null\n"


def test_a_rule_may_come_through_a_pipe(small_server, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(RULE)))
    assert call(small_server, "add", "-").json == RULE


def test_what_is_no_file_or_no_json_is_one_line(small_server, tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        call(small_server, "add", str(tmp_path / "none"))
    (tmp_path / "x").write_text("{")
    with pytest.raises(CommandError, match="is not JSON"):
        call(small_server, "add", str(tmp_path / "x"))
