"""Errors of initialize_fakemail.py: one line that names what to set, and an exit code for wrong usage."""

import pytest

from commands.client import CommandError, UsageError
from commands.initializing import initialize
from tests.commands.http_server import SmallServer

AWAY = "http://127.0.0.1:1"


def test_an_account_that_does_not_answer_is_not_looked_for_by_base_url():
    with pytest.raises(
        CommandError, match=f"no answer from {AWAY} .* Set --fakemail or FAKEMAIL_API_URL to its address"
    ):
        initialize(AWAY, None, None, test=False)


def account(server: SmallServer) -> str:
    server.answers |= {("POST", "/mail/watch"): (200, {"history_id": 1}), ("POST", "/mail/subscribe"): (200, {})}
    return f"{server.url}/mail"


@pytest.mark.parametrize("answer", [{}, []])
def test_a_server_whose_watch_says_something_else_is_no_fakemail(small_server, answer):
    url = account(small_server)
    small_server.answers["POST", "/mail/watch"] = 200, answer
    with pytest.raises(CommandError, match="is not a FakeMail"):
        initialize(url, None, None, test=False)


def test_our_token_goes_to_no_other_server(small_server, monkeypatch):
    monkeypatch.setenv("BASE_URL", "http://127.0.0.1")
    monkeypatch.setenv("API_TOKEN", "ours")
    initialize(account(small_server), None, None, test=False)
    assert {asked.authorization for asked in small_server.asked} == {None}
    monkeypatch.setenv("FAKEMAIL_API_TOKEN", "fakemails")
    initialize(account(small_server), None, None, test=False)
    assert {asked.authorization for asked in small_server.asked} == {None, "Bearer fakemails"}


def test_our_own_simulator_gets_our_token(small_server, monkeypatch):
    monkeypatch.setenv("BASE_URL", small_server.url)
    monkeypatch.setenv("API_TOKEN", "ours")
    initialize(account(small_server), None, None, test=False)
    assert {asked.authorization for asked in small_server.asked} == {"Bearer ours"}


def test_a_source_that_is_not_known_here_says_where_the_names_come_from(monkeypatch):
    monkeypatch.delenv("FAKEMAIL_SOURCES", raising=False)
    told = "unknown source 'sales': set FAKEMAIL_SOURCES in this shell to the same value as for the server"
    with pytest.raises(UsageError, match=f"^{told}$"):
        initialize(None, None, "sales", test=False)
    monkeypatch.setenv("FAKEMAIL_SOURCES", '{"support": {"url": "http://127.0.0.1:1"}}')
    with pytest.raises(UsageError, match=f"^{told}; here it names support$"):
        initialize(None, None, "sales", test=False)


def test_an_account_that_nobody_knows_is_wrong_usage():
    with pytest.raises(UsageError):
        initialize(AWAY, None, "nobody", test=False)


def test_the_settings_of_an_account_are_named_where_they_are(small_server, monkeypatch):
    monkeypatch.setenv("FAKEMAIL_SOURCES", f'{{"sales": {{"url": "{AWAY}"}}}}')
    with pytest.raises(CommandError, match="Set the url of source sales in FAKEMAIL_SOURCES to its address"):
        initialize(None, None, None, test=False)
    url = account(small_server)
    small_server.answers["POST", "/mail/watch"] = 401, {"title": "Unauthorized"}
    monkeypatch.setenv("FAKEMAIL_SOURCES", f'{{"sales": {{"url": "{url}"}}}}')
    with pytest.raises(CommandError, match="set the token of source sales in FAKEMAIL_SOURCES to the server's token"):
        initialize(None, None, None, test=False)


def test_an_address_at_which_there_is_no_fakemail_is_named(small_server):
    with pytest.raises(CommandError, match=f"^POST {small_server.url}/nothing/watch: 404 Not Found$"):
        initialize(f"{small_server.url}/nothing", None, None, test=False)


def test_the_webhook_is_that_of_the_settings_unless_an_option_names_another(small_server, monkeypatch):
    url = account(small_server)
    initialize(url, None, None, test=False)
    monkeypatch.setenv("WEBHOOK_URL", "https://me.example/hook")
    initialize(url, None, None, test=False)
    initialize(url, "https://other.example", None, test=False)
    monkeypatch.setenv("FAKEMAIL_SOURCES", f'{{"sales": {{"url": "{url}"}}}}')
    initialize(None, None, "sales", test=False)
    subscribed = [asked.json["webhook_url"] for asked in small_server.asked if asked.path == "/mail/subscribe"]
    assert subscribed == [
        "http://127.0.0.1:8005/webhook",
        "https://me.example/hook",
        "https://other.example/webhook",
        "https://me.example/hook/sales",
    ]
