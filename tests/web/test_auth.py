"""Who gets in, as tables: tokens, cookies, Host names, forwarded requests, other sites' pages."""

from contextlib import nullcontext

import pytest

from web.auth import Gate, host_name, is_loopback_name, is_secure
from web.problems import Problem
from web.services import Access

OPEN = Gate(Access())
GUARDED = Gate(Access(api_token="full-token", api_token_readonly="read-token", cors_origins=("https://app.example",)))


def environ(method="GET", **headers):
    return {"REQUEST_METHOD": method, "HTTP_HOST": "localhost:8005"} | {
        f"HTTP_{name}": value for name, value in headers.items()
    }


def status(gate, request, kind):
    try:
        gate.admit(request, kind)
    except Problem as problem:
        return problem.status
    return 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", 200),
        ("localhost:8005", 200),
        ("LOCALHOST", 200),
        ("localhost.", 200),
        ("app.localhost", 200),
        ("127.0.0.1:8005", 200),
        ("127.8.9.1", 200),
        ("[::1]:8005", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("192.168.1.5:8005", 403),
        ("1270.0.0.1", 403),
        ("[::2]", 403),
        ("", 403),
    ],
)
def test_without_a_token_only_loopback_names_may_ask(host, expected):
    assert status(OPEN, environ(HOST=host), "read") == expected
    assert status(OPEN, environ(HOST=host), "page") == expected
    assert status(OPEN, environ(HOST=host), "public") == 200


@pytest.mark.parametrize(
    "header",
    ["FORWARDED", "X_FORWARDED", "X_FORWARDED_FOR", "X_FORWARDED_HOST", "X_FORWARDED_PROTO", "X_REAL_IP", "VIA"],
)
def test_without_a_token_what_came_through_a_proxy_reaches_public_routes_alone(header):
    assert status(OPEN, environ(**{header: "1.2.3.4"}), "read") == 403
    assert status(OPEN, environ(**{header: "1.2.3.4"}), "page") == 403
    assert status(OPEN, environ(**{header: "1.2.3.4"}), "public") == 200


def test_allowed_hosts_are_let_in():
    gate = Gate(Access(allowed_hosts=("Mail.Example",)))
    assert status(gate, environ(HOST="mail.example:8005"), "full") == 200
    assert status(Gate(Access(allowed_hosts=("mail.example:80",))), environ(HOST="mail.example"), "full") == 200


@pytest.mark.parametrize(
    ("authorization", "kind", "method", "expected"),
    [
        (None, "read", "GET", 401),
        ("Bearer full-token", "read", "GET", 200),
        ("bearer full-token", "full", "POST", 200),
        ("Bearer read-token", "read", "GET", 200),
        ("Bearer read-token", "read", "HEAD", 200),
        ("Bearer read-token", "full", "POST", 403),
        ("Bearer wrong", "read", "GET", 401),
        ("Bearer ", "read", "GET", 401),
        ("Basic full-token", "read", "GET", 401),
        ("full-token", "read", "GET", 401),
        ("Bearer full-tok\u00e9n", "read", "GET", 401),
        (None, "public", "POST", 200),
        (None, "page", "GET", 200),
    ],
)
def test_with_a_token_it_must_be_shown(authorization, kind, method, expected):
    headers = {} if authorization is None else {"AUTHORIZATION": authorization}
    assert status(GUARDED, environ(method, **headers), kind) == expected


def test_with_a_token_any_host_and_any_proxy_will_do():
    request = environ(HOST="mail.example", X_FORWARDED_FOR="1.2.3.4", AUTHORIZATION="Bearer full-token")
    assert status(GUARDED, request, "full") == 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        ({"ORIGIN": "http://localhost:8005"}, 200),
        ({"ORIGIN": "https://app.example"}, 200),
        ({"ORIGIN": "https://app.example", "SEC_FETCH_SITE": "cross-site"}, 200),
        ({"SEC_FETCH_SITE": "same-origin"}, 200),
        ({"SEC_FETCH_SITE": "none"}, 200),
        ({"ORIGIN": "http://localhost:8006"}, 403),
        ({"ORIGIN": "http://evil.example"}, 403),
        ({"ORIGIN": "null"}, 403),
        ({"SEC_FETCH_SITE": "cross-site"}, 403),
        ({"SEC_FETCH_SITE": "same-site"}, 403),
    ],
)
def test_unsafe_requests_from_other_sites_pages_are_refused(headers, expected):
    request = environ("POST", AUTHORIZATION="Bearer full-token", **headers)
    assert status(GUARDED, request, "full") == expected
    with nullcontext() if expected == 200 else pytest.raises(Problem):
        GUARDED.authorize(environ(AUTHORIZATION="Bearer read-token", **headers))


LINK = {"SEC_FETCH_MODE": "navigate", "SEC_FETCH_DEST": "document"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        ({"SEC_FETCH_SITE": "same-origin", "SEC_FETCH_MODE": "cors", "SEC_FETCH_DEST": "empty"}, 200),
        ({"SEC_FETCH_SITE": "none", **LINK}, 200),
        ({"SEC_FETCH_SITE": "cross-site", **LINK}, 200),
        ({"SEC_FETCH_SITE": "same-site", **LINK}, 200),
        ({"SEC_FETCH_SITE": "cross-site", "ORIGIN": "https://app.example", "SEC_FETCH_MODE": "cors"}, 200),
        ({"SEC_FETCH_SITE": "cross-site", "SEC_FETCH_MODE": "no-cors", "SEC_FETCH_DEST": "image"}, 403),
        ({"SEC_FETCH_SITE": "same-site", "SEC_FETCH_MODE": "no-cors", "SEC_FETCH_DEST": "script"}, 403),
        ({"SEC_FETCH_SITE": "cross-site", "SEC_FETCH_MODE": "cors", "ORIGIN": "https://evil.example"}, 403),
        ({"SEC_FETCH_SITE": "cross-site", "SEC_FETCH_MODE": "navigate", "SEC_FETCH_DEST": "iframe"}, 403),
        ({"SEC_FETCH_SITE": "cross-site"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_other_sites_pages_may_link_here_but_measure_no_searches(method, headers, expected):
    """They cannot see an answer, but how long it takes tells whether a search found something."""
    local = Gate(Access(cors_origins=("https://app.example",)))
    assert status(local, environ(method, **headers), "read") == expected
    request = environ(method, AUTHORIZATION="Bearer full-token", **headers)
    assert [status(GUARDED, request, kind) for kind in ("read", "page")] == [expected, expected]


def cookie_of(gate, role, **request):
    _, cookie = gate.sessions.open(role, secure=False)
    return environ(COOKIE=f"other=1; {cookie.partition(';')[0]}", **request)


def test_a_session_cookie_bears_its_role():
    assert status(GUARDED, cookie_of(GUARDED, "full"), "read") == 200
    assert GUARDED.identify(cookie_of(GUARDED, "full"), "full") == "full"
    with pytest.raises(Problem) as caught:
        GUARDED.identify(cookie_of(GUARDED, "read"), "full")
    assert caught.value.status == 403


def test_a_session_ends_when_the_token_changes_or_its_time_is_over(monkeypatch):
    request = cookie_of(GUARDED, "full")
    assert Gate(Access(api_token="another")).sessions.read(request) is None
    session = GUARDED.sessions.read(request)
    assert session is not None
    later = session.expires + 1
    monkeypatch.setattr("web.sessions.time.time", lambda: later)
    assert status(GUARDED, request, "read") == 401


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.replace("read.", "full.", 1),
        lambda value: value[:-1] + ("A" if value[-1] != "A" else "B"),
        lambda value: value.rpartition(".")[0],
        lambda value: "full.99999999999.x.",
        lambda value: "",
        lambda value: "....",
    ],
)
def test_a_cookie_that_we_did_not_sign_is_nothing(change):
    _, cookie = GUARDED.sessions.open("read", secure=False)
    name, _, value = cookie.partition(";")[0].partition("=")
    assert GUARDED.sessions.read(environ(COOKIE=f"{name}={change(value)}")) is None


def test_cookies_are_for_the_browser_alone():
    _, plain = GUARDED.sessions.open("full", secure=False)
    _, secure = GUARDED.sessions.open("full", secure=True)
    assert all(flag in plain for flag in ("HttpOnly", "SameSite=Strict", "Path=/"))
    assert secure.startswith("__Host-")
    assert "Secure" in secure


def test_a_wrong_bearer_token_is_not_mended_by_a_cookie():
    request = cookie_of(GUARDED, "full", AUTHORIZATION="Bearer wrong")
    assert status(GUARDED, request, "read") == 401


def test_x_forwarded_proto_is_believed_of_trusted_proxies_alone():
    request = {"wsgi.url_scheme": "http", "HTTP_X_FORWARDED_PROTO": "https", "REMOTE_ADDR": "10.0.0.1"}
    assert not is_secure(request, ())
    assert is_secure(request, ("10.0.0.1",))
    assert is_secure({"wsgi.url_scheme": "https"}, ())


def test_names_in_host_headers():
    assert host_name("[::1]:80") == "::1"
    assert host_name("Example.COM.:80") == "example.com"
    assert not is_loopback_name("127.0.0.1.example")


@pytest.mark.parametrize(
    ("access", "authorization", "expected"),
    [
        ({"metrics_token": "m"}, "Bearer m", 200),
        ({"metrics_token": "m"}, None, 401),
        ({"metrics_token": "m"}, "Bearer x", 401),
        ({"metrics_token": "m", "api_token": "full-token"}, "Bearer m", 200),
        ({"metrics_token": "m", "api_token": "full-token"}, "Bearer full-token", 200),
        ({"metrics_token": "m", "api_token": "full-token"}, None, 401),
        ({"api_token": "full-token"}, "Bearer m", 401),
        ({}, None, 200),
    ],
)
def test_the_metrics_have_a_token_of_their_own(access, authorization, expected):
    headers = {} if authorization is None else {"AUTHORIZATION": authorization}
    assert status(Gate(Access(**access)), environ(**headers), "metrics") == expected


def test_the_token_of_the_metrics_opens_nothing_else():
    gate = Gate(Access(metrics_token="m", api_token="full-token"))
    for kind in ("read", "full"):
        assert status(gate, environ(AUTHORIZATION="Bearer m"), kind) == 401
    assert (
        status(Gate(Access(metrics_token="m")), environ(HOST="evil.example", AUTHORIZATION="Bearer m"), "metrics")
        == 200
    )


@pytest.mark.parametrize("origin", ["null", "", "http://", "http://[", "//localhost:8005", "localhost:8005"])
def test_an_origin_that_names_no_host_is_another_site(origin):
    request = environ("POST", AUTHORIZATION="Bearer full-token", ORIGIN=origin, HOST="")
    assert status(GUARDED, request, "full") == 403
