"""The commands' HTTP client: JSON in and out, and each error as one line."""

import socket

import gevent
import pytest
import requests

from commands import client
from commands.client import CommandError, OtherServerError, Server, is_within, problem, wait_for


def test_a_get_gives_json_and_passes_parameters(small_server):
    small_server.answers["GET", "/stats"] = (200, {"total": 3})
    assert Server(small_server.url + "/").get("/stats", source="main", limit=2) == {"total": 3}
    assert small_server.asked[0].query == "source=main&limit=2"


def test_a_post_sends_json_even_without_a_body(small_server):
    small_server.answers["POST", "/setup"] = (200, {})
    server = Server(small_server.url)
    server.post("/setup")
    server.post("/setup", {"webhook_url": "http://me"})
    assert [asked.json for asked in small_server.asked] == [{}, {"webhook_url": "http://me"}]


def test_an_empty_answer_is_none(small_server):
    small_server.answers["DELETE", "/dead-letters/1"] = (204, None)
    assert Server(small_server.url).delete("/dead-letters/1") is None


def test_the_token_goes_along_and_only_where_there_is_one(small_server):
    small_server.answers["GET", "/stats"] = (200, {})
    Server(small_server.url, "secret").get("/stats")
    Server(small_server.url).get("/stats")
    assert [asked.authorization for asked in small_server.asked] == ["Bearer secret", None]


HEALTH = {"status": "unhealthy", "version": "1", "components": {"redis": {"status": "unhealthy"}}}


@pytest.mark.parametrize("status", [200, 503])
def test_health_is_told_well_or_not(small_server, status):
    small_server.answers["GET", "/health"] = (status, HEALTH)
    assert Server(small_server.url).health() == HEALTH


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<html>"),
        (200, None),
        (200, ["ok"]),
        (200, {"status": "ok"}),
        (200, HEALTH | {"components": ["redis"]}),
        (200, HEALTH | {"components": {"redis": "fine"}}),
        (404, "<html>"),
        (500, {"title": "Internal Server Error"}),
    ],
)
def test_another_server_is_told_by_its_health(small_server, status, body):
    small_server.answers["GET", "/health"] = (status, body)
    with pytest.raises(OtherServerError, match=f"^{small_server.url} is a different server: set BASE_URL$"):
        Server(small_server.url).health()


def test_a_proxy_whose_server_is_away_is_not_called_another_server(small_server):
    small_server.answers["GET", "/health"] = (502, "<html>")
    with pytest.raises(CommandError, match=r"^GET /health: 502 Reason$"):
        Server(small_server.url).health()


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:18978", "http://127.0.0.1"),
        ("http://127.0.0.1:8005/x", "http://127.0.0.1:80"),
        ("https://mail.example", "http://mail.example"),
        ("http://mail.example.evil.example", "http://mail.example"),
        ("http://mail.example:80@evil.example/x", "http://mail.example:80"),
        ("http://mail.example/application", "http://mail.example/app"),
        ("http://mail.example/app/../other", "http://mail.example/app"),
        ("http://mail.example/app/%2e%2E/other", "http://mail.example/app"),
        ("http://mail.example", "http://mail.example/app"),
    ],
)
def test_what_only_begins_like_a_servers_url_is_another_server(url, base):
    assert not is_within(url, base)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:8005/simulator", "http://127.0.0.1:8005"),
        ("http://MAIL.example:80/simulator", "http://mail.example"),
        ("https://mail.example/app", "https://mail.example:443/app/"),
        ("https://mail.example/app/simulator", "https://mail.example/app"),
    ],
)
def test_what_lies_under_a_servers_url_is_this_server(url, base):
    assert is_within(url, base)


@pytest.mark.parametrize(
    ("status", "body", "line"),
    [
        (404, {"title": "Not Found", "detail": "no such letter"}, "GET /x: 404 no such letter"),
        (503, {"title": "Service Unavailable"}, "GET /x: 503 Service Unavailable"),
        (502, "<html>proxy</html>", "GET /x: 502 Reason"),
        (
            401,
            {"title": "Unauthorized", "detail": "a valid token is required"},
            "GET /x: 401 a valid token is required: set API_TOKEN to the server's token",
        ),
        (400, [1], "GET /x: 400 Reason"),
    ],
)
def test_an_error_answer_is_one_line_with_status_and_reason(small_server, status, body, line):
    small_server.answers["GET", "/x"] = (status, body)
    with pytest.raises(CommandError) as caught:
        Server(small_server.url).get("/x")
    assert str(caught.value) == line


def test_a_problem_is_told_in_a_line():
    answer = requests.Response()
    answer.status_code, answer.reason = 500, "Internal Server Error"
    assert problem(answer) == "500 Internal Server Error"


def test_a_server_that_is_not_there_is_one_line_that_says_where_it_was_looked_for():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(CommandError) as caught:
        Server(url).get("/stats")
    assert str(caught.value) == f"no answer from {url} (refused): is it running? Set BASE_URL to its address"


def test_a_server_that_keeps_silent_is_given_up():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        server = Server(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.1)
        with pytest.raises(CommandError, match="Timeout"):
            server.get("/stats")


def test_waiting_ends_with_the_first_value():
    values = iter([None, False, None, {"found": 1}])
    assert wait_for("a thing", lambda: next(values), seconds=5, pause=0.001) == {"found": 1}


def test_waiting_in_vain_says_what_did_not_happen():
    with pytest.raises(CommandError, match=r"^a thing did not happen within 0\.02 s$"):
        wait_for("a thing", lambda: None, seconds=0.02, pause=0.005)


def test_zero_is_a_value():
    assert wait_for("a number", lambda: 0, seconds=1) == 0


def test_a_patient_server_waits_while_it_is_away_and_says_so_once(small_server, capsys, monkeypatch):
    monkeypatch.setattr(client, "PAUSE", 0.01)
    small_server.answers["GET", "/audit"] = (503, {"title": "Service Unavailable"})
    server = Server(small_server.url)
    server.patience = 5
    asking = gevent.spawn(server.get, "/audit")
    while len(small_server.asked) < 3:
        gevent.sleep(0.01)
    small_server.answers["GET", "/audit"] = (200, {"listed": 1})
    assert asking.get(timeout=5) == {"listed": 1}
    assert capsys.readouterr().err.count("is not available: waiting for it") == 1


def test_patience_ends(capsys):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = Server(f"http://127.0.0.1:{probe.getsockname()[1]}")
        server.patience = 0.6
        with pytest.raises(CommandError, match="refused"):
            server.get("/audit")
    assert "waiting for it" in capsys.readouterr().err
