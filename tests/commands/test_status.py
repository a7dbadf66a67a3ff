"""`run.py status`: health, figures and books in a few lines, and an exit code that a cron job can use."""

import argparse
import json
from typing import Any

import pytest

from commands import status
from commands.client import CommandError
from settings import Settings
from tests.commands.http_server import SmallServer

AUDIT = {
    "listed": 3,
    "results": 2,
    "queued": 0,
    "retrying": 0,
    "dead": 1,
    "discarded": 0,
    "erased": 0,
    "unaccounted": 0,
}
STATS = {
    "total_emails_processed": 2,
    "emails_by_classification": {"meeting": 2},
    "queue_depth": 0,
    "dead_letters": 1,
    "emails_per_minute": 4.0,
}


@pytest.fixture
def running(small_server: SmallServer) -> SmallServer:
    """A healthy server."""
    small_server.answers |= {
        ("GET", "/health"): (200, health("healthy")),
        ("GET", "/stats"): (200, STATS),
        ("GET", "/audit"): (200, AUDIT),
        ("GET", "/actors"): (200, {"paused": False}),
    }
    return small_server


def health(word: str) -> dict[str, Any]:
    return {"status": word, "version": "1.0.0", "components": {"redis": {"status": word, "latency_ms": 0.1}}}


def say(server: SmallServer, *, as_json: bool = False) -> int:
    return status.run(argparse.Namespace(json=as_json), Settings(base_url=server.url, api_token="secret"))


def test_it_says_how_the_system_is(running, capsys):
    assert say(running) == 0
    out = capsys.readouterr().out
    assert "healthy  (version 1.0.0; redis healthy)" in out
    assert "processed 2  (meeting 2)" in out
    assert "listed 3 = results 2 + queued 0 + retrying 0 + dead 1" in out
    assert {asked.authorization for asked in running.asked} == {"Bearer secret"}


def test_it_says_the_same_to_machines(running, capsys):
    assert say(running, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {
        "health": health("healthy"),
        "stats": STATS,
        "audit": AUDIT,
        "paused": False,
    }


@pytest.mark.parametrize(("word", "code"), [("degraded", 0), ("unhealthy", 1)])
def test_unhealthy_is_an_exit_code(running, word, code):
    running.answers["GET", "/health"] = (503 if code else 200, health(word))
    assert say(running) == code


def test_an_unaccounted_email_is_an_exit_code(running):
    running.answers["GET", "/audit"] = (200, AUDIT | {"unaccounted": 1})
    assert say(running) == 1


@pytest.mark.parametrize("body", ["<html>", {"status": "ok"}])
def test_another_server_is_one_line(running, body):
    running.answers["GET", "/health"] = (200, body)
    with pytest.raises(CommandError, match=r"is a different server: set BASE_URL$"):
        say(running)


def test_a_wrong_token_is_one_line(running):
    running.answers["GET", "/stats"] = (401, {"title": "Unauthorized", "detail": "a valid token is required"})
    with pytest.raises(CommandError, match=r"^GET /stats: 401 a valid token is required: set API_TOKEN"):
        say(running)


def test_while_the_figures_cannot_be_had_it_names_what_is_away(running, capsys):
    away = {"status": "unhealthy", "latency_ms": None, "reason": "no answer within 1.5 s"}
    running.answers |= {
        ("GET", "/health"): (503, {**health("unhealthy"), "components": {"redis": away}}),
        ("GET", "/stats"): (503, {"detail": "redis cannot be reached or is too slow; try again"}),
    }
    with pytest.raises(CommandError, match="redis cannot be reached"):
        say(running)
    assert "redis: no answer within 1.5 s" in capsys.readouterr().out


def test_a_pause_is_told(running, capsys):
    say(running)
    assert "paused" not in capsys.readouterr().out
    running.answers["GET", "/actors"] = (200, {"paused": True})
    assert say(running) == 0
    assert "paused: no new work starts" in capsys.readouterr().out
    say(running, as_json=True)
    assert json.loads(capsys.readouterr().out)["paused"] is True
