"""FAKEMAIL_SOURCES: accounts from JSON or a file; an error is one line that names the source and shows no secret."""

import json

import pytest

from engine.errors import SettingsError
from engine.mailbox import MAIN
from settings import Settings, sources
from settings.sources import SourceSetting

SALES = {"url": "https://mail.example/sales/", "token": "tok-sales", "webhook_secret": "one two"}


def read(sources, **environ):
    text = sources if isinstance(sources, str) else json.dumps(sources)
    return Settings.from_env({"FAKEMAIL_SOURCES": text, **environ})


def refusal(sources, **environ):
    with pytest.raises(SettingsError) as caught:
        read(sources, **environ)
    text = str(caught.value)
    assert "\n" not in text
    assert "tok-" not in text
    return text


def test_accounts_come_in_their_order_with_what_they_need():
    settings = read({"sales": SALES, "b": {"url": "http://b", "webhook_url": "https://me/hooks/b"}})
    assert settings.fakemail_sources == (
        SourceSetting("sales", "https://mail.example/sales", "tok-sales", ("one", "two")),
        SourceSetting("b", "http://b", webhook_url="https://me/hooks/b"),
    )
    assert not settings.with_simulator, "an account outside is followed"


def test_they_may_stand_in_a_file_with_secrets_in_files_beside_it(tmp_path):
    (tmp_path / "sales.token").write_text("tok-file\n")
    (tmp_path / "sources.json").write_text(json.dumps({"sales": {"url": "http://s", "token_file": "sales.token"}}))
    for environ in ({"FAKEMAIL_SOURCES": str(tmp_path / "sources.json")},):
        (source,) = Settings.from_env(environ).fakemail_sources
        assert source.token == "tok-file"


def test_fakemail_api_url_is_main_beside_them():
    settings = read({"sales": SALES}, FAKEMAIL_API_URL="http://main")
    assert (settings.fakemail_api_url, len(settings.fakemail_sources)) == ("http://main", 1)


def test_secrets_are_hidden_and_names_and_urls_are_shown():
    settings = read({"sales": SALES, "b": {"url": "http://b"}})
    assert {"tok-sales", "one", "two"} <= set(settings.secrets())
    (row,) = [row for row in settings.describe({}) if row[0] == "FAKEMAIL_SOURCES"]
    assert row[1] == "sales=https://mail.example/sales b=http://b"
    assert "tok-sales" not in str(settings.describe({}))


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        ("{not json", "FAKEMAIL_SOURCES is not JSON (line 1, column 2)"),
        ("/no/such/file.json", "cannot be read (No such file or directory)"),
        ("{}", "at least one source"),
        ('{"a": {"url": "http://a"}, "a": {"url": "http://b"}}', "names 'a' twice"),
        ({"Sales": SALES}, "'Sales' is not a name: 1 to 32 of a-z, 0-9, _ and -"),
        ({"a/b": SALES}, "'a/b' is not a name"),
        ({"": SALES}, "'' is not a name"),
        ({"x" * 33: SALES}, "is not a name"),
        ({"a": "http://a"}, "source a: must be an object"),
        ({"a": {}}, "source a: url is missing"),
        ({"a": {"url": "ftp://a"}}, "source a: url must begin with http:// or https://"),
        ({"a": {"url": "http://a?key=1"}}, "source a: url must not contain ? or #"),
        ({"a": {"url": 7}}, "source a: url must be a string"),
        ({"a": {"url": "http://a", "tokn": "tok-1"}}, "source a: tokn is unknown; the known ones are url, token"),
        ({"a": {"url": "http://a", "token": "tok- 1"}}, "source a: token must be printable ASCII without spaces"),
        ({"a": {"url": "http://a", "token": "tok-1", "token_file": "x"}}, "source a: token is given twice"),
        ({"a": {"url": "http://a", "token_file": "/no/such"}}, "source a: token_file cannot be read"),
        ({"a": {"url": "http://a", "token_file": "/dev/zero"}}, "source a: token_file is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        ({"a": {"url": "http://a", "webhook_secret": "whsec_%"}}, "source a: webhook_secret must hold base64"),
        ({"a": {"url": "http://m"}, "b": {"url": "http://m"}}, "sources a and b are the same account"),
    ],
)
def test_what_is_wrong_is_named(sources, says):
    assert says in refusal(sources)


def test_main_stands_in_one_of_the_two_ways():
    assert "source main is already set by FAKEMAIL_API_URL" in refusal(
        {"main": {"url": "http://a"}}, FAKEMAIL_API_URL="http://b"
    )
    assert "sources main and b are the same account" in refusal({"b": {"url": "http://a"}}, FAKEMAIL_API_URL="http://a")


def test_the_settings_mean_the_same_source_as_all_others():
    assert sources.MAIN == MAIN
