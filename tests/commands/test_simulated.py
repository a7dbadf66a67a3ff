"""Finding the simulator to send mail through: each server receives only its own token."""

import pytest

from commands.client import CommandError, Server
from commands.simulated import find_simulator
from tests.commands.http_server import SmallServer


@pytest.fixture
def foreign(small_server: SmallServer, monkeypatch: pytest.MonkeyPatch) -> SmallServer:
    """A stand-alone simulator at FAKEMAIL_API_URL, beside a processor (under /app) that has none."""
    monkeypatch.setenv("FAKEMAIL_API_URL", f"{small_server.url}/apples")
    small_server.answers["GET", "/apples/status"] = (200, {})
    return small_server


def processor(server: SmallServer) -> Server:
    return Server(f"{server.url}/app", "ours")


def test_the_servers_own_simulator_gets_the_servers_token(small_server):
    small_server.answers["GET", "/app/simulator/status"] = (200, {})
    assert find_simulator(processor(small_server)).base_url == f"{small_server.url}/app/simulator"
    assert [asked.authorization for asked in small_server.asked] == ["Bearer ours"]


def test_another_simulator_gets_fakemails_token(foreign, monkeypatch, tmp_path):
    (tmp_path / "token").write_text("fakemails\n")
    monkeypatch.setenv("FAKEMAIL_API_TOKEN_FILE", str(tmp_path / "token"))
    assert find_simulator(processor(foreign)).base_url == f"{foreign.url}/apples"
    assert [asked.authorization for asked in foreign.asked] == ["Bearer ours", "Bearer fakemails"]


def test_another_simulator_never_gets_ours(foreign):
    find_simulator(processor(foreign))
    assert [asked.authorization for asked in foreign.asked] == ["Bearer ours", None]


def test_it_says_which_token_is_wanted(foreign):
    foreign.answers["GET", "/apples/status"] = (401, {})
    with pytest.raises(CommandError, match=r"/apples requires a token: set FAKEMAIL_API_TOKEN$"):
        find_simulator(processor(foreign))
    foreign.answers["GET", "/app/simulator/status"] = (401, {})
    with pytest.raises(CommandError, match=r"/app/simulator requires a token: set API_TOKEN$"):
        find_simulator(processor(foreign))
