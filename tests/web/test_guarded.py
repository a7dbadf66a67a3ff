"""The simulator served alone: the processor's access rules apply, tested on a real server."""

import logging

import pytest

from commands.access import simulator_access
from engine.errors import SettingsError
from fakemail.simulator import open_simulator
from fakemail.simulator_http import simulator_app
from settings import Settings
from tests.web.server_clients import RawClient, ask, serving
from web.auth import SMALL_BODY
from web.guarded import Guarded
from web.services import Access

LARGEST = 1 << 20
TOKEN = {"API_TOKEN": "full", "API_TOKEN_READONLY": "read"}


@pytest.fixture
def simulator(tmp_path):
    opened = open_simulator(tmp_path)
    yield simulator_app(opened, bare=True)
    opened.close()


def request(method="GET", path="/simulator/status", host="localhost:8025", length=0, **headers) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    fields = [f"Host: {host}", "Content-Type: application/json", f"Content-Length: {length}", *lines]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *fields, "", ""]).encode()


def statuses(simulator, access: Access, *requests: bytes) -> list[int]:
    app = Guarded(simulator, access, LARGEST)
    with serving(app, body_cap=app.body_cap) as server:
        return [ask(server, each).status for each in requests]


def test_on_loopback_this_machines_user_needs_no_token_and_pages_of_others_get_nothing(simulator):
    access = simulator_access("127.0.0.1", Settings.from_env({**TOKEN, "ALLOWED_HOSTS": "fakemail.test"}))
    assert access is not None
    good = [
        request(),
        request("POST", "/reset"),
        request(host="fakemail.test"),
        request("POST", Origin="http://localhost:8025", path="/watch"),
    ]
    bad = [
        request(host="evil.example"),
        request("POST", "/reset", Origin="http://evil.example"),
        request("POST", "/reset", Origin="null"),
        request("POST", "/reset", Sec_Fetch_Site="cross-site"),
        request(X_Forwarded_For="203.0.113.9"),
    ]  # fmt: skip
    assert statuses(simulator, access, *good) == [200] * len(good)
    assert statuses(simulator, access, *bad) == [403] * len(bad)


def test_beyond_loopback_the_token_is_needed(simulator):
    access = simulator_access("0.0.0.0", Settings.from_env(TOKEN))
    assert access is not None
    full, read = {"Authorization": "Bearer full"}, {"Authorization": "Bearer read"}
    asked = [request(), request(host="fakemail", **full), request(**read), request("POST", "/reset", **read)]
    assert statuses(simulator, access, *asked) == [401, 200, 200, 403]
    assert statuses(simulator, access, request("POST", "/reset", **full), request("POST", "/reset")) == [200, 401]


def test_beyond_loopback_without_a_token_it_does_not_start_unless_that_is_wanted(caplog):
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        with pytest.raises(SettingsError, match="API_TOKEN"):
            simulator_access(host, Settings.from_env({}))
    with caplog.at_level(logging.WARNING):
        assert simulator_access("0.0.0.0", Settings.from_env({"ALLOW_ANONYMOUS": "true"})) is None
    assert "API_TOKEN IS NOT SET" in caplog.text


def test_many_calls_are_no_abuse_of_a_mailbox(simulator):
    access = simulator_access("0.0.0.0", Settings.from_env({**TOKEN, "TRUSTED_PROXIES": "127.0.0.1"}))
    assert access is not None
    far = request(Authorization="Bearer full", X_Forwarded_For="198.51.100.7")
    assert set(statuses(simulator, access, *[far] * 300)) == {200}


@pytest.mark.parametrize("length", [SMALL_BODY + 1, LARGEST])
def test_a_strangers_large_body_is_refused_unread(simulator, length):
    app = Guarded(simulator, Access(api_token="full"), LARGEST)
    with serving(app, body_cap=app.body_cap) as server, RawClient(server) as client:
        assert client.send(request("POST", "/send_batch", length=length)).answer().status == 401


def test_a_request_id_of_a_strangers_choice_is_not_echoed(simulator):
    with serving(simulator) as server:
        taken = ask(server, request(path="/nothing", X_Request_Id="mine-1"))
        refused = ask(server, request(path="/nothing", X_Request_Id="<b>mine</b>"))
        with RawClient(server) as client:
            client.send(request(path="/nothing", Connection="close"))
            raw = client.stream.read()
    assert (taken.json["request_id"], taken.headers["x-request-id"]) == ("mine-1", "mine-1")
    assert refused.json["request_id"] == refused.headers["x-request-id"]
    assert "mine" not in refused.json["request_id"]
    assert raw.lower().count(b"\r\nx-request-id:") == 1
