"""Input made to cost far more than its bytes: each is parsed in time linear in its length.

The lengths are such that quadratic time would take minutes, so a slow machine changes nothing.
"""

import string
import time
from itertools import product

import pytest

from tests.web.server_clients import RawClient, serving
from web.app import Application
from web.problems import Problem
from web.schemas import PageQuery
from web.services import Access
from web.sessions import COOKIE, SECURE_COOKIE, Sessions
from web.validation import MAX_ON_HUB, read_json, read_model, read_query

LONG_S = 20.0
HEADER_BYTES = 1 << 18


def duplicates(count: int) -> list[str]:
    """Different names, the last one twice."""
    names = [
        "".join(letters) for letters, _ in zip(product(string.ascii_letters, repeat=4), range(count), strict=False)
    ]
    return [*names, names[-1]]


def test_a_name_that_stands_twice_is_found_at_once_among_very_many():
    raw = ("{" + ",".join(f'"{name}":1' for name in duplicates(200_000)) + "}").encode()
    began = time.monotonic()
    with pytest.raises(Problem) as caught:
        read_json(raw)
    assert "appears twice" in caught.value.detail
    assert time.monotonic() - began < LONG_S


def test_a_name_that_stands_twice_in_a_query_is_named():
    with pytest.raises(Problem) as caught:
        read_query("limit=1&q=a&q=b", PageQuery)
    assert caught.value.detail.startswith("q:")


@pytest.mark.parametrize(
    "piece", ["\\", "\\a", "\\377", '\\"', '"', "a=", ";", "; =", "=", " ", "$Version=1; ", "\xfc"]
)
@pytest.mark.parametrize("before", ["", f'{COOKIE}="', f"{SECURE_COOKIE}="])
def test_any_cookie_header_is_read_at_once(piece, before):
    sessions = Sessions(60)
    sessions.use({"full": "token"})
    began = time.monotonic()
    assert sessions.read({"HTTP_COOKIE": before + piece * (HEADER_BYTES // len(piece))}) is None
    assert time.monotonic() - began < LONG_S


def test_a_good_cookie_is_found_beside_others_of_its_name():
    sessions = Sessions(60)
    sessions.use({"full": "token"})
    _, cookie = sessions.open("full", secure=False)
    good = cookie.partition(";")[0]
    for header in (good, f"a=b;{good}", f"{COOKIE}=x; {good}", f"{SECURE_COOKIE}=x; {good};", f'q="a; {good}'):
        assert sessions.read({"HTTP_COOKIE": header}) is not None, header


def test_a_cookie_of_an_ended_session_before_a_good_one_logs_nobody_out():
    sessions = Sessions(60)
    sessions.use({"full": "token"})
    (ended, first), (_, second) = sessions.open("full", secure=False), sessions.open("full", secure=False)
    sessions.end(ended)
    pair = f"{first.partition(';')[0]}; {second.partition(';')[0]}"
    assert sessions.read({"HTTP_COOKIE": pair}) is not None


def test_a_long_body_is_read_on_another_thread(monkeypatch):
    elsewhere = []

    def noting(work, *args):
        elsewhere.append(len(args[0]))
        return work(*args)

    monkeypatch.setattr("web.validation.off_the_hub", noting)
    assert read_model(b"1" + b" " * (MAX_ON_HUB - 1), int) == 1
    assert read_model(b"1" + b" " * MAX_ON_HUB, int) == 1
    with pytest.raises(Problem):
        read_model(b"[" * (MAX_ON_HUB + 1), int)
    assert elsewhere == [MAX_ON_HUB + 1, MAX_ON_HUB + 1]


def test_a_login_has_a_small_body(system):
    system.services.access = Access(api_token="full")
    app = Application(system.services)
    head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 8193\r\n\r\n"
    with serving(app, body_cap=app.body_cap) as server, RawClient(server) as client:
        assert client.send(head.encode()).answer().status == 413
