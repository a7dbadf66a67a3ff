"""Thousands of odd requests to every route: the answer is never a 500."""

import json
import random
import re
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from web.routes import ROUTES

TEXTS = [
    "", "a", "1", "0", "-1", "1e9", "NaN", "inf", "true", "null", "x" * 3000, "'\"; DROP", "\x00", "\ud800", "\U0001f600", "/../",
    "2026-01-01", "9999-12-31", "0001-01-01T00:00:00+23:59", "from:", "class:meeting", "confidence:<", "before:x", ")(*", "a AND",
    "NEAR(", "main", "1" * 30,
]  # fmt: skip
VALUES: list[Any] = [
    None, 0, -1, 1.5, True, "", [], {}, {"a": {"b": []}}, 2**63, "\ud800", [1], [2**63], "meeting", "2026-01-01", "http://x", "https:///",
    "http://[", "http://a:b@c:99999/", "x" * 3000,
]  # fmt: skip
TRIES = 30


def encoded(text):
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def names_of(model):
    return [field.encode_name for field in msgspec.structs.fields(model) if field.encode_name != "wait"]


def odd_request(route, rng):
    path = re.sub(r"\{\w+\}", lambda _: encoded(rng.choice(TEXTS)) or "a", route.path)
    names = names_of(route.query) if route.query else []
    query = "&".join(
        f"{name}={encoded(rng.choice(TEXTS))}" for name in rng.sample(names, min(len(names), rng.randint(0, 3)))
    )
    if not route.request:
        return f"{path}?{query}", b""
    fields = {name: rng.choice(VALUES) for name in names_of(route.request) if rng.random() < 0.8}
    return f"{path}?{query}", json.dumps(fields if rng.random() < 0.9 else rng.choice(VALUES)).encode()


@pytest.mark.parametrize("seed", [1])
def test_no_request_is_500(system, index, seed):
    system.process("a", "1")
    system.bury("c")
    index()
    rng = random.Random(seed)
    failed = []
    for route in ROUTES:
        for _ in range(TRIES):
            target, body = odd_request(route, rng)
            reply = system.client.send(route.method, target, body, {"Content-Type": "application/json"} if body else {})
            if reply.status == 500 or (reply.status >= 400 and "json" not in reply.headers["content-type"]):
                failed.append((route.method, target[:200], body[:200], reply.status))
    assert failed == []
