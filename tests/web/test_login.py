"""Logging in by form and by JSON, using the cookie, and logging out."""

import pytest

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def client(system):
    return system.with_access(api_token="full token", api_token_readonly="read")


def cookie_of(reply):
    return reply.headers["set-cookie"].partition(";")[0]


def test_the_form_sets_a_cookie_and_leads_to_the_dashboard(client):
    reply = client.send("POST", "/login", b"token=full+token", FORM)
    assert (reply.status, reply.headers["location"]) == (303, "/")
    assert client.get("/stats", Cookie=cookie_of(reply)).status == 200
    assert client.post("/actors/pause", Cookie=cookie_of(reply)).status == 200


def test_json_is_answered_with_json(client):
    reply = client.post("/login", {"token": "read"})
    assert (reply.status, reply.json["role"]) == (200, "read")
    assert client.get("/stats", Cookie=cookie_of(reply)).status == 200
    assert client.post("/actors/pause", Cookie=cookie_of(reply)).status == 403


@pytest.mark.parametrize(("shown_before", "expected"), [(False, 429), (True, 200)])
def test_guessing_is_slow_but_locks_nobody_out_whose_token_was_shown_before(client, shown_before, expected):
    """As through a tunnel, where strangers share everybody's address."""
    far = {"X-Forwarded-For": "203.0.113.9"}
    if shown_before:
        assert client.post("/login", {"token": "full token"}, **far).status == 200
    statuses = [client.post("/login", {"token": "wrong"}, **far).status for _ in range(32)]
    assert statuses == [401] * 30 + [429] * 2
    assert client.send("POST", "/login", b"token=wrong", {**FORM, **far}).status == 429
    assert client.post("/login", {"token": "full token"}, **far).status == expected
    assert client.post("/login", {"token": "wrong"}, **far).status == 429


def test_a_wrong_token_in_the_form_shows_the_page_again(client):
    reply = client.send("POST", "/login", b"token=wrong", FORM)
    assert reply.status == 401
    assert b"This token is not valid" in reply.body
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize(
    ("body", "media", "expected"),
    [
        (b"token=x", "text/plain", 415),
        (b"{}", "application/json", 422),
        (b"{", "application/json", 400),
        (b"token=" + b"&a=1" * 20, "application/x-www-form-urlencoded", 400),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 401),
    ],
)
def test_logins_that_cannot_be_read(client, body, media, expected):
    assert client.send("POST", "/login", body, {"Content-Type": media}).status == expected


def test_a_login_from_another_sites_page_is_refused(client):
    assert client.send("POST", "/login", b"token=full+token", {**FORM, "Origin": "https://evil.example"}).status == 403


def test_logging_out_takes_the_cookie_back(client):
    reply = client.send("POST", "/logout")
    assert reply.status == 204
    assert "Max-Age=0" in reply.headers["set-cookie"]
    page = client.send("POST", "/logout", b"", {"Accept": "text/html"})
    assert (page.status, page.headers["location"]) == (303, "/login")


def test_a_body_that_is_no_json_ends_no_session(client):
    assert client.send("POST", "/logout", b"a=1", FORM).status == 415
    assert client.send("POST", "/logout", b"", FORM).status == 204
    assert client.post("/logout", {}).status == 204


def test_the_login_page_loads_nothing_from_elsewhere(client):
    reply = client.get("/login")
    assert reply.status == 200
    assert b"http" not in reply.body.replace(b"http-equiv", b"")
    assert client.get("/static/login.css").status == 200


def test_without_a_token_there_is_nothing_to_log_in_to(system):
    assert system.client.post("/login", {"token": "x"}).status == 409
