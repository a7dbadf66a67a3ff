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


@pytest.mark.parametrize("options", [{"webhook_url": "nonsense"}, {"source": "nobody"}])
def test_what_makes_no_sense_is_wrong_usage(options):
    with pytest.raises(UsageError):
        initialize(AWAY, **{"webhook_url": None, "source": None, **options}, test=False)
