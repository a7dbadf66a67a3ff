"""Refusals and their wire format: application/problem+json (RFC 9457).

The framing, body and WebSocket rules raise `Refusal`; web/server_handler.py and web/server_body.py answer it. The
application's `Problem` (web/problems.py) is a subclass, so that it may be raised before the application is called.
"""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

Header = tuple[str, str]

PROBLEM_MEDIA = "application/problem+json"


class Refusal(Exception):
    """The request is not served: `detail` for people, `members` for programs, `headers` beside the usual ones."""

    def __init__(
        self, status: int, detail: str, headers: tuple[Header, ...] = (), members: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.members = members or {}

    def body(self, request_id: str, instance: str | None = None) -> bytes:
        """Return the JSON body; `instance` is the requested path. Members that are None are left out."""
        problem: dict[str, Any] = {
            "type": "about:blank",
            "title": title(self.status),
            "status": self.status,
            "detail": self.detail.encode("utf-8", "replace").decode(),
            "instance": instance,
            "request_id": request_id,
        }
        problem |= self.members
        return msgspec.json.encode({name: value for name, value in problem.items() if value is not None})


def title(status: int) -> str:
    """Return the reason phrase of `status`, or "Error" if it is unknown."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def retry_after(seconds: float) -> Header:
    """Return the Retry-After header, in whole seconds, at least one."""
    return ("Retry-After", str(max(1, math.ceil(seconds))))


def problem_headers(refusal: Refusal, body: bytes) -> list[Header]:
    """Return the headers of a refusal that ends the connection."""
    headers = [("Content-Type", PROBLEM_MEDIA), ("Content-Length", str(len(body)))]
    headers += [("Cache-Control", "no-store"), ("Connection", "close"), *refusal.headers]
    if refusal.status == HTTPStatus.UNAUTHORIZED and not refusal.headers:
        headers.append(("WWW-Authenticate", "Bearer"))
    return headers


def status_line(status: int) -> str:
    """Return `404 Not Found` and the like, as WSGI requires."""
    return f"{status} {title(status)}"


def raw_answer(refusal: Refusal, request_id: str) -> bytes:
    """Return a complete HTTP response, for a request that never became a WSGI environ."""
    body = refusal.body(request_id)
    headers = [*problem_headers(refusal, body), ("X-Request-Id", request_id)]
    lines = [f"HTTP/1.1 {status_line(refusal.status)}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
