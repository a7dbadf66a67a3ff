"""Sessions end by logout (wherever the cookie was copied to), all at once, by expiry, and with the token."""

import pytest

from engine.errors import DependencyTrouble
from storage.sessions import EndedSessions
from tests.servers import wait_until
from tests.web.server_clients import SocketClient, opened
from tests.web.wsgi_client import WsgiClient
from web.app import Application
from web.auth import Gate
from web.services import Access
from web.sessions import Sessions
from web.websocket_frames import POLICY


@pytest.fixture
def client(system):
    return system.with_access(api_token="full token", api_token_readonly="read")


def login(client: WsgiClient, token: str = "full token") -> str:
    reply = client.post("/login", {"token": token})
    return reply.headers["set-cookie"].partition(";")[0]


def test_logging_out_ends_the_session_also_for_a_copy_of_its_cookie(client):
    first, second = login(client), login(client)
    assert client.get("/stats", Cookie=first).status == 200
    assert client.send("POST", "/logout", headers={"Cookie": first}).status == 204
    assert client.get("/stats", Cookie=first).status == 401
    assert client.get("/stats", Cookie=second).status == 200


def test_other_fronts_learn_of_it_and_so_does_the_next_start(client, system):
    cookie = login(client)
    other = Application(system.services)
    assert WsgiClient(other).get("/stats", Cookie=cookie).status == 200
    client.send("POST", "/logout", headers={"Cookie": cookie})
    other.gate.sessions.refresh()
    assert WsgiClient(other).get("/stats", Cookie=cookie).status == 401


def test_all_sessions_can_be_ended_by_who_may_do_all(client):
    first, second, reader = login(client), login(client), login(client, "read")
    assert client.send("POST", "/logout?everywhere=true", headers={"Cookie": reader}).status == 403
    assert client.send("POST", "/logout?everywhere=true").status == 401
    assert client.get("/stats", Cookie=second).status == 200
    assert client.send("POST", "/logout?everywhere=true", headers={"Cookie": first}).status == 204
    assert {client.get("/stats", Cookie=each).status for each in (first, second, reader)} == {401}


def test_a_session_lasts_as_long_as_the_settings_say(monkeypatch):
    gate = Gate(Access(api_token="t", session_s=60))
    session, cookie = gate.sessions.open("full", secure=False)
    assert "Max-Age=60;" in cookie
    environ = {"HTTP_COOKIE": cookie.partition(";")[0]}
    assert gate.still_welcome(environ)
    monkeypatch.setattr("web.sessions.time.time", lambda: float(session.expires))
    assert not gate.still_welcome(environ)


def test_another_token_ends_the_sessions_of_that_token_alone():
    gate = Gate(Access(api_token="full", api_token_readonly="read"))
    full, reader = (gate.sessions.open(role, secure=False)[1].partition(";")[0] for role in ("full", "read"))
    gate.use(Access(api_token="other", api_token_readonly="read"))
    assert not gate.still_welcome({"HTTP_COOKIE": full})
    assert gate.still_welcome({"HTTP_COOKIE": reader})


def test_a_session_ends_here_also_while_the_database_is_away(database, caplog):
    class Away(EndedSessions):
        away = True

        def end(self, session_id, at, expires):
            if self.away:
                raise DependencyTrouble("away", dependency="database")
            super().end(session_id, at, expires)

    store = Away(database)
    sessions = Sessions(60, store)
    sessions.use({"full": "t"})
    session, cookie = sessions.open("full", secure=False)
    sessions.end(session)
    assert sessions.read({"HTTP_COOKIE": cookie.partition(";")[0]}) is None
    assert "this process alone" in caplog.text
    store.away = False
    sessions.refresh()
    assert session.id in store.all()


def test_what_would_have_expired_is_forgotten(database):
    store = EndedSessions(database)
    store.end("old", 100.0, 200.0)
    store.end("new", 300.0, 400.0)
    assert store.all() == {"new": 300.0}


@pytest.mark.parametrize(
    "error", [DependencyTrouble("away", dependency="database"), ValueError("unforeseen")], ids=repr
)
def test_whoever_is_no_longer_welcome_is_hung_up_on_whatever_happened_before(system, monkeypatch, error):
    monkeypatch.setattr("web.app.SESSIONS_EVERY_S", 0.01)
    system.services.access = Access(api_token="full token")
    app = Application(system.services)
    calls = []

    def refresh():
        calls.append(error)
        raise error

    monkeypatch.setattr(app.gate.sessions, "refresh", refresh)
    server = opened(app)
    try:
        _, cookie = app.gate.sessions.open("full", secure=False)
        with SocketClient(server, "/ws/emails/me", cookie=cookie.partition(";")[0]) as client:
            wait_until(lambda: calls)
            app.gate.use(Access(api_token="another"))
            assert client.close_code() == POLICY
    finally:
        server.shutdown(0.5)
