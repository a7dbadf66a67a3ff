"""The trial scripts: what they read from the environment, and what they say if another server answers."""

import subprocess
import sys
from pathlib import Path

import pytest

from commands.client import CommandError
from commands.trials import secrets_from_env, webhook

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("in_file", [False, True])
def test_notifications_are_signed_by_the_secrets_that_the_server_has(tmp_path, monkeypatch, in_file):
    (tmp_path / "secret").write_text("new old\n")
    if in_file:
        monkeypatch.setenv("WEBHOOK_SECRET_FILE", str(tmp_path / "secret"))
    else:
        monkeypatch.setenv("WEBHOOK_SECRET", "new old")
    assert secrets_from_env() == ("new", "old")


def test_another_server_is_one_line(small_server, monkeypatch):
    monkeypatch.setenv("BASE_URL", small_server.url)
    small_server.answers |= {("GET", "/health"): (200, "<html>"), ("POST", "/webhook"): (202, "<html>")}
    with pytest.raises(CommandError, match=r"is a different server: set BASE_URL$"):
        webhook()


def test_a_server_that_wants_signatures_is_one_line(small_server, monkeypatch):
    monkeypatch.setenv("BASE_URL", small_server.url)
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)
    health = {"status": "healthy", "version": "1", "components": {}}
    small_server.answers |= {("GET", "/health"): (200, health), ("POST", "/webhook"): (401, {"title": "Unauthorized"})}
    with pytest.raises(
        CommandError, match=r"^the server expects signed webhooks: set WEBHOOK_SECRET as the server does$"
    ):
        webhook()
    monkeypatch.setenv("WEBHOOK_SECRET", "another")
    with pytest.raises(
        CommandError, match=r"^the server expects other signatures: set WEBHOOK_SECRET as the server does$"
    ):
        webhook()


def test_a_server_without_the_account_main_is_one_line(small_server, monkeypatch):
    monkeypatch.setenv("BASE_URL", small_server.url)
    health = {"status": "healthy", "version": "1", "components": {}}
    gone = {"detail": "there is no source 'main'"}
    small_server.answers |= {("GET", "/health"): (200, health), ("POST", "/webhook"): (404, gone)}
    with pytest.raises(CommandError, match=r"/webhook answers 404 there is no source 'main'$"):
        webhook()


def test_notifications_are_shown_as_they_are_sent(small_server, monkeypatch, capsys):
    monkeypatch.setenv("BASE_URL", small_server.url)
    health = {"status": "healthy", "version": "1", "components": {}}
    small_server.answers |= {("GET", "/health"): (200, health), ("POST", "/webhook"): (202, {})}
    with pytest.raises(CommandError, match="of the checks failed"):
        webhook()
    assert '  ok    {"history_id": 0} as application/json → 202, expected 202\n' in capsys.readouterr().out


@pytest.mark.parametrize("script", ["test_flow.py", "test_webhook.py", "test_large_batch.py", "initialize_fakemail.py"])
def test_who_asks_a_script_for_help_sends_nothing(script):
    done = subprocess.run(
        [sys.executable, ROOT / script, "--help"], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["usage:", script])
