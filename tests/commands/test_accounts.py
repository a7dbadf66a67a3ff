"""The accounts that a front follows: which is main, the secrets and webhook URL of each, and what SIGHUP changes."""

import json

import pytest

from commands.accounts import accounts, credentials, names, open_sources
from engine.errors import SettingsError
from settings import Settings
from storage.books import Books
from storage.database import Database

OWN = "http://127.0.0.1:8005"


def settings(sources=None, **environ):
    given = {"FAKEMAIL_SOURCES": json.dumps(sources)} if sources else {}
    return Settings.from_env({**given, **environ})


@pytest.fixture
def books(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/emails.db")
    database.migrate()
    yield Books(database)
    database.close()


def test_without_any_our_own_simulator_is_main():
    (main,) = accounts(settings(), OWN).values()
    assert (main.name, main.url, main.webhook_url) == ("main", f"{OWN}/simulator", f"{OWN}/webhook")


def test_further_accounts_stand_beside_main_and_may_stand_without_it():
    two = {"b": {"url": "http://b"}, "c": {"url": "http://c"}}
    assert names(settings(two, FAKEMAIL_API_URL="http://a")) == ("main", "b", "c")
    assert names(settings(two)) == ("b", "c")
    assert names(settings({"b": {"url": "http://b"}, "main": {"url": "http://a"}})) == ("b", "main")


def test_each_has_a_webhook_of_its_own():
    two = {"b": {"url": "http://b"}, "c": {"url": "http://c", "webhook_url": "https://hooks.example/c"}}
    found = accounts(settings(two, FAKEMAIL_API_URL="http://a", WEBHOOK_URL="https://me.example/webhook/"), OWN)
    assert {name: each.webhook_url for name, each in found.items()} == {
        "main": "https://me.example/webhook",
        "b": "https://me.example/webhook/b",
        "c": "https://hooks.example/c",
    }


def test_a_source_without_a_secret_wants_the_common_one():
    found = accounts(
        settings({"b": {"url": "http://b"}, "c": {"url": "http://c", "webhook_secret": "own"}}, WEBHOOK_SECRET="all"),
        OWN,
    )
    assert {name: each.secrets for name, each in found.items()} == {"b": ("all",), "c": ("own",)}


def test_the_token_of_one_goes_to_no_other():
    found = credentials(
        settings({"b": {"url": "http://b", "token": "tb"}}, FAKEMAIL_API_URL="http://a", FAKEMAIL_API_TOKEN="ta")
    )
    assert found == {"main": ("ta", ()), "b": ("tb", ())}


def test_a_source_is_bound_to_its_url(books):
    open_sources(books, settings({"b": {"url": "http://b"}}))
    assert [each.name for each in open_sources(books, settings({"b": {"url": "http://b"}}))] == ["b"]
    with pytest.raises(SettingsError, match="FAKEMAIL_SOURCES: source b of this database belongs to http://b, not to"):
        open_sources(books, settings({"b": {"url": "http://other"}}))
