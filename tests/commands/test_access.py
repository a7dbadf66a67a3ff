"""SIGHUP must not open a door that was protected."""

import json

import pytest

from commands.access import doors_opened, only_from_here
from settings import Settings


def settings(**environ: str) -> Settings:
    return Settings.from_env(environ)


def sources(**secrets: str) -> dict[str, str]:
    named = {name: {"url": f"http://{name}.example", "webhook_secret": secret} for name, secret in secrets.items()}
    return {"FAKEMAIL_SOURCES": json.dumps(named)}


def test_a_secret_that_is_gone_is_named():
    before = settings(API_TOKEN="a", METRICS_TOKEN="b", WEBHOOK_SECRET="c", **sources(x="d", y="e"))
    assert (
        doors_opened(before, settings(METRICS_TOKEN="b", WEBHOOK_SECRET="c", **sources(x="d", y="e"))) == "API_TOKEN is"
    )
    assert doors_opened(before, settings(API_TOKEN="a", **sources(x="d", y=""))) == (
        "METRICS_TOKEN, WEBHOOK_SECRET, the webhook_secret of source y are"
    )


def test_other_secrets_and_further_ones_open_nothing():
    before = settings(API_TOKEN="a", API_TOKEN_READONLY="r", **sources(x="d"))
    assert doors_opened(before, settings(API_TOKEN="b", WEBHOOK_SECRET="c", **sources(x="e"))) == ""
    assert doors_opened(settings(), settings(API_TOKEN="b")) == ""


@pytest.mark.parametrize(
    ("environ", "here"),
    [
        ({}, True),
        ({"HOST": "::1", "API_TOKEN": "a"}, True),
        ({"HOST": "0.0.0.0", "API_TOKEN": "a"}, False),
        ({"API_TOKEN": "a", "TRUSTED_PROXIES": "127.0.0.1"}, False),
    ],
)
def test_requests_come_from_here_only_on_loopback_and_without_a_proxy(environ, here):
    assert only_from_here(settings(**environ)) is here
