"""What unauthorized requests may cost: their large bodies are refused unread, so that webhooks still find room."""

import json
from contextlib import ExitStack

import pytest

from tests.web.server_clients import RawClient, ask, serving
from web.app import Application
from web.services import Access

LARGE = 64 << 20
NOTICE = json.dumps({"history_id": 1}).encode()


def head(path: str, length: int | None, *lines: str, host: str = "evil.example") -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    fields = [f"Host: {host}", "Content-Type: application/json", framing, *lines]
    return "\r\n".join([f"POST {path} HTTP/1.1", *fields, "", ""]).encode()


def begun(path: str, length: int | None) -> bytes:
    """Return a request whose body has only begun."""
    return head(path, length) + (b"1\r\nx\r\n" if length is None else b"x")


def app_of(system, **access) -> Application:
    system.services.access = Access(**access)
    return Application(system.services)


@pytest.mark.parametrize("path", ["/simulator/send_batch", "/classify", "/dead-letters/replay"])
@pytest.mark.parametrize("length", [LARGE, 70_000, None])
@pytest.mark.parametrize(("access", "status"), [({}, 403), ({"api_token": "full"}, 401)])
def test_a_strangers_large_body_is_refused_before_it_is_read(system, path, length, access, status):
    app = app_of(system, **access)
    with serving(app, body_cap=app.body_cap) as server, RawClient(server) as client:
        assert client.send(begun(path, length)).answer().status == status


def test_webhooks_are_taken_while_strangers_send_large_bodies(system):
    app = app_of(system, api_token="full")
    with serving(app, body_cap=app.body_cap) as server, ExitStack() as stack:
        for number in range(70):
            client = stack.enter_context(RawClient(server))
            client.send(begun("/classify" if number % 2 else "/simulator/send_batch", LARGE if number % 3 else None))
        assert ask(server, head("/webhook", len(NOTICE)) + NOTICE).status == 202


def test_who_may_ask_may_send_a_large_one(system):
    app = app_of(system, api_token="full")
    body = json.dumps({"subject": "Offer", "body": "buy " * 30_000}).encode()
    with serving(app, body_cap=app.body_cap) as server:
        assert ask(server, head("/classify", len(body), "Authorization: Bearer full") + body).status == 200
