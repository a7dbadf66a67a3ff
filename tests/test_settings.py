"""The settings: each parser, and each error as one line that names the variable."""

import argparse
import dataclasses
import os
from pathlib import Path

import pytest

from commands import serve
from engine.errors import SettingsError
from settings import Settings, Variable, is_loopback


def refusal(**environ: str) -> str:
    """Return the one line of error that a wrong environment causes."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_an_empty_environment_gives_the_defaults():
    assert Settings.from_env({}) == Settings()


def test_an_empty_value_counts_as_unset():
    names = [field.name.upper() for field in dataclasses.fields(Settings)]
    blank = dict.fromkeys(names, "") | {f"{name}_FILE": " " for name in names}
    assert Settings.from_env(blank) == Settings()
    assert Settings.from_env({"PORT": "   "}).port == 8005


def test_blanks_around_a_value_do_not_count():
    assert Settings.from_env({"PORT": " 8010 ", "API_TOKEN": "\tsecret\n"}).port == 8010


def test_variables_of_others_are_let_alone():
    assert Settings.from_env({"PATH": "/bin", "PORTS": "many", "REDIS": "x"}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("HOST", "::1", "::1"),
        ("PORT", "0", 0),
        ("PORT", "65535", 65535),
        ("REDIS_URL", "redis://:pw@redis:6379/1", "redis://:pw@redis:6379/1"),
        ("REDIS_URL", "unix:///run/valkey.sock", "unix:///run/valkey.sock"),
        ("REDIS_URL", "rediss+sentinel://a:26379/main", "rediss+sentinel://a:26379/main"),
        (
            "REDIS_URL",
            "redis+sentinel://a:26379,b:26379/main/0",
            "redis+sentinel://a:26379,b:26379/main/0",
        ),
        ("REDIS_URL", "REDIS://redis", "redis://redis"),
        ("REDIS_HOST", "redis", "redis"),
        ("REDIS_HOST", "redis-1", "redis-1"),
        ("REDIS_HOST", "fd00::1", "fd00::1"),
        ("REDIS_PORT", "6380", 6380),
        ("DATABASE_URL", "sqlite:////data/emails.db", "sqlite:////data/emails.db"),
        ("DATABASE_URL", "sqlite:///mail and more/emails.db", "sqlite:///mail and more/emails.db"),
        ("DATABASE_URL", "postgresql://emails@db/emails", "postgresql://emails@db/emails"),
        ("DATABASE_URL", "postgresql:///emails?host=/run", "postgresql:///emails?host=/run"),
        ("DATA_DIR", "/var/lib/emails", Path("/var/lib/emails")),
        ("FAKEMAIL_API_URL", "https://mail.example/api/", "https://mail.example/api"),
        ("FAKEMAIL_API_TOKEN", "abc", "abc"),
        ("WEBHOOK_URL", "http://me:8005/webhook", "http://me:8005/webhook"),
        ("PROCESSOR_WORKER_COUNT", "64", 64),
        ("PROCESSOR_PROCESSES", "0", 0),
        ("PROCESSOR_PROCESSES", "AUTO", -1),
        ("PROCESSOR_MAX_RETRIES", "0", 0),
        ("PROCESSOR_RETRY_DELAY_MS", "250", 250),
        ("START_FROM", "NOW", "now"),
        ("POLL_INTERVAL_S", "0.5", 0.5),
        ("HISTORY_OVERLAP_S", "0", 0.0),
        ("GONE_AFTER_S", "1e3", 1000.0),
        ("MAILBOX_LIMIT", "10", 10),
        ("MAX_BODY_BYTES", "1024", 1024),
        ("WEBHOOK_SECRET", "whsec_new whsec_old", ("whsec_new", "whsec_old")),
        ("WEBHOOK_SECRET", "a,b", ("a,b",)),
        ("ALLOWED_HOSTS", "a.example, b.example", ("a.example", "b.example")),
        ("ALLOWED_HOSTS", "A.example:8005 10.0.0.1 [fd00::1]:80", ("A.example:8005", "10.0.0.1", "[fd00::1]:80")),
        ("TRUSTED_PROXIES", "10.0.0.1", ("10.0.0.1",)),
        ("CORS_ORIGINS", "https://a.example,https://b.example", ("https://a.example", "https://b.example")),
        ("CORS_ORIGINS", "http://[::1]:3000 https://a.example:8443/", ("http://[::1]:3000", "https://a.example:8443/")),
        ("TRUSTED_PROXIES", "10.0.0.0/8 ::1", ("10.0.0.0/8", "::1")),
        ("EGRESS_ALLOW", "10.0.0.0/8, app", ("10.0.0.0/8", "app")),
        ("EGRESS_ALLOW", "my_app.internal. fd00::/8 ::1", ("my_app.internal.", "fd00::/8", "::1")),
        ("WEBHOOK_RATE_LIMIT", "0.5", 0.5),
        ("API_RATE_LIMIT", "0", 0.0),
        ("SESSION_S", "60", 60),
        ("METRICS_TOKEN", "scrape", "scrape"),
        ("API_TOKEN", "secret", "secret"),
        ("ALLOW_ANONYMOUS", "yes", True),
        ("ALLOW_ANONYMOUS", "Off", False),
        ("SIMULATOR_ENABLED", "0", False),
        ("CLASSIFIER_MIN_CONFIDENCE", "0.6", 0.6),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("LOG_FORMAT", "JSON", "json"),
        ("NODE_NAME", "left", "left"),
        ("NODE_NAME", "Mail-1.rack_b", "Mail-1.rack_b"),
        ("STATUS_PORT", "8006", 8006),
        ("BASE_URL", "http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
    ],
)
def test_a_good_value_is_read(name, text, value):
    read = getattr(Settings.from_env({name: text}), name.lower())
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("PORT", "http", "must be a whole number from 0 to 65535, not 'http'"),
        ("PORT", "65536", "from 0 to 65535"),
        ("PORT", "8005.0", "whole number"),
        ("PORT", "٨٠", "whole number"),
        ("PORT", "-", "whole number"),
        ("PORT", "-1", "from 0 to 65535"),
        ("REDIS_PORT", "0", "from 1 to 65535"),
        ("REDIS_URL", "http://redis", "must begin with redis:// or rediss:// or unix://"),
        ("REDIS_URL", "redis:foo", "must begin with redis://"),
        ("REDIS_URL", "redis://redis/mail", "must end with the number of a database"),
        ("REDIS_URL", "unix://run/valkey.sock", "the full path of the socket"),
        ("REDIS_URL", "unix:///", "the full path of the socket"),
        ("REDIS_HOST", "redis:6379", "without a port"),
        ("REDIS_HOST", "redis/1", "must be a host's name"),
        ("REDIS_HOST", "redis://redis", "must be a host's name"),
        ("DATABASE_URL", "mysql://db/x", "must begin with sqlite:/// or postgresql://"),
        ("DATABASE_URL", "sqlite:foo.db", "must begin with sqlite:///"),
        ("DATABASE_URL", "sqlite://foo.db", "must begin with sqlite:///"),
        ("DATABASE_URL", "sqlite:///", "must name a file"),
        ("DATABASE_URL", "sqlite:////data/", "must name a file"),
        ("DATABASE_URL", "sqlite:///:memory:", "must name a file"),
        ("DATABASE_URL", "sqlite:///emails.db?mode=ro", "without options"),
        ("DATABASE_URL", "postgresql:emails", "must begin with sqlite:/// or postgresql://"),
        ("FAKEMAIL_API_URL", "ftp://mail", "must begin with http:// or https://"),
        ("FAKEMAIL_API_URL", "mail.example", "must begin with http:// or https://"),
        ("FAKEMAIL_API_URL", "http://", "must name a host"),
        ("FAKEMAIL_API_URL", "http://mail:port", "must be a valid URL"),
        ("WEBHOOK_URL", "http://[::1", "must be a valid URL"),
        ("FAKEMAIL_API_URL", "https://mail.example/api?key=1", "must not contain ? or #"),
        ("FAKEMAIL_API_URL", "http://mail.example/a b", "must not contain spaces"),
        ("FAKEMAIL_API_URL", "http://mail\nexample", "must not contain spaces"),
        ("BASE_URL", "8005", "must begin with"),
        ("BASE_URL", "http:8005", "must begin with"),
        ("BASE_URL", "http://127.0.0.1:8005/#top", "must not contain ? or #"),
        ("PROCESSOR_WORKER_COUNT", "0", "from 1 to 64"),
        ("PROCESSOR_PROCESSES", "some", "from 0 to 64, or auto, not 'some'"),
        ("PROCESSOR_PROCESSES", "-1", "from 0 to 64, or auto, not '-1'"),
        ("PROCESSOR_MAX_RETRIES", "-1", "from 0 to 100"),
        ("PROCESSOR_RETRY_DELAY_MS", "0", "from 1 to 3600000"),
        ("START_FROM", "yesterday", "must be one of beginning, now"),
        ("POLL_INTERVAL_S", "0", "from 0.05 to 86400"),
        ("POLL_INTERVAL_S", "nan", "must be a number"),
        ("POLL_INTERVAL_S", "inf", "from 0.05 to 86400"),
        ("HISTORY_OVERLAP_S", "long", "must be a number"),
        ("GONE_AFTER_S", "-1", "from 0 to 604800"),
        ("MAILBOX_LIMIT", "9", "from 10"),
        ("MAX_BODY_BYTES", "1023", "from 1024"),
        ("ALLOW_ANONYMOUS", "maybe", "must be true or false"),
        ("SIMULATOR_ENABLED", "2", "must be true or false"),
        ("CLASSIFIER_MIN_CONFIDENCE", "1.1", "from 0 to 1"),
        ("WEBHOOK_SECRET", "whsec_%%%", "secret number 1"),
        ("WEBHOOK_SECRET", "plain whsec_", "secret number 2"),
        ("TRUSTED_PROXIES", "proxy.example", "must be addresses or networks"),
        *(
            ("ALLOWED_HOSTS", text, "must be host names such as app.example")
            for text in (
                "https://app.example", "app.example/", "*", "*.example", ".example", "app.example:port", "app.example:0",
                "app.example:65536", "fd00::1", "[app.example]", "[fd00::1", "10.0.0", "b\u00fccher.example", "a a..b",
            )
        ),
        *(
            ("EGRESS_ALLOW", text, "must be host names, addresses or networks")
            for text in ("10.0.0/8", "10.0.0", "10.0.0.0/33", "http://app", "app:8080", "*.internal", "app/8", "x 256.1.1.1")
        ),
        *(("NODE_NAME", text, "must be 1 to 64 characters: letters") for text in ("my node", "a/b", "\u00fc", "x" * 65)),
        ("CORS_ORIGINS", "https://app.example:443", "must be without :443"),
        ("CORS_ORIGINS", "https://app.example:x", "must be origins"),
        ("CORS_ORIGINS", "https://b\u00fccher.example", "must be origins"),
        ("CORS_ORIGINS", "*", "must be origins such as https://app.example, not '*'"),
        ("CORS_ORIGINS", "https://a.example app.example", "must be origins"),
        ("CORS_ORIGINS", "https://a.example/path", "must be origins"),
        ("METRICS_TOKEN", "two words", "printable ASCII without spaces"),
        ("API_TOKEN", "schl\u00fcssel", "printable ASCII"),
        ("FAKEMAIL_API_TOKEN", "schl\u00fcssel", "printable ASCII"),
        ("LOGIN_RATE_LIMIT", "-1", "from 0 to"),
        ("SESSION_S", "0", "from 1 to"),
        ("LOG_LEVEL", "LOUD", "must be one of DEBUG, INFO, WARNING, ERROR"),
        ("LOG_FORMAT", "xml", "must be one of console, json"),
        ("STATUS_PORT", "x", "whole number"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_line_that_names_the_variable(name, text, says):
    line = refusal(**{name: text})
    assert line.startswith(f"{name} ")
    assert says in line


def test_a_wrong_value_of_a_secret_is_not_repeated():
    line = refusal(REDIS_URL="http://:hunter2@redis")
    assert line.startswith("REDIS_URL must begin with")
    assert line.endswith("not (hidden)")
    assert "hunter2" not in line


def test_a_wrong_signing_secret_is_not_repeated_and_what_is_read_here_is_what_the_signatures_take():
    from fakemail.signature import key_of

    assert "hunter2" not in refusal(WEBHOOK_SECRET="whsec_hunter2%")
    for text in ("whsec_%", "whsec_", "whsec_\u00fc", "whsec_a", "plain", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw old"):
        try:
            [key_of(each) for each in text.split()]
        except ValueError:
            assert refusal(WEBHOOK_SECRET=text).startswith("WEBHOOK_SECRET must hold base64")
        else:
            assert Settings.from_env({"WEBHOOK_SECRET": text}).webhook_secret == tuple(text.split())


@pytest.mark.parametrize(
    "password", ["hunter2/x", "hunter2#x", "hunter2?x", "hunter2/x@y", "x@hunter2", "hunter2\u2100"]
)
@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql://me:{}@db/emails"),
        ("REDIS_URL", "redis://:{}@redis/0"),
        ("REDIS_URL", "redis+sentinel://:{}@redis:26379/main"),
        ("FAKEMAIL_API_URL", "https://me:{}@mail.example"),
        ("WEBHOOK_URL", "https://me:{}@mail.example/webhook"),
        ("FAKEMAIL_SOURCES", '{{"sales": {{"url": "https://me:{}@mail.example"}}}}'),
    ],
)
def test_a_password_whose_special_characters_are_not_encoded_is_not_repeated(name, url, password):
    environ = {name: url.format(password)}
    try:
        said = repr(Settings.from_env(environ).describe(environ))  # it can be read, and is masked
    except SettingsError as error:
        said = str(error)
    assert name in said
    assert "hunter2" not in said


def test_a_password_that_would_be_taken_for_a_host_is_refused():
    """The name of a host is in the logs, and in the reasons of /health."""
    assert "%2F" in refusal(REDIS_URL="redis+sentinel://:hunter2/x@redis:26379/main")
    assert "%40" in refusal(DATABASE_URL="postgresql://me:x@hunter2@db/emails")


def test_a_password_in_a_url_is_not_repeated():
    assert "hunter2" not in refusal(WEBHOOK_URL="ftp://me:hunter2@mail.example")
    assert "hunter2" not in refusal(WEBHOOK_URL="ftp://me:hunter2/@mail.example")
    environ = {"WEBHOOK_URL": "https://me:hunter2@mail.example/webhook"}
    assert "hunter2" not in repr(Settings.from_env(environ).describe(environ))


def test_a_value_may_come_from_a_file(tmp_path):
    (tmp_path / "token").write_text("from the file\n")
    settings = Settings.from_env({"API_TOKEN_FILE": str(tmp_path / "token")})
    assert settings.api_token == "from the file"


def test_the_variable_itself_goes_before_its_file(tmp_path):
    (tmp_path / "token").write_text("from the file")
    settings = Settings.from_env({"API_TOKEN": "direct", "API_TOKEN_FILE": str(tmp_path / "token")})
    assert settings.api_token == "direct"


def test_an_empty_file_counts_as_unset(tmp_path):
    (tmp_path / "token").write_text("\n")
    assert Settings.from_env({"API_TOKEN_FILE": str(tmp_path / "token")}).api_token is None


def test_a_token_of_two_lines_is_refused_since_it_would_be_two_headers(tmp_path):
    (tmp_path / "token").write_text("one\r\nX-Other: two\n")
    for name in ("API_TOKEN", "API_TOKEN_READONLY", "FAKEMAIL_API_TOKEN", "METRICS_TOKEN"):
        told = refusal(**{f"{name}_FILE": str(tmp_path / "token")})
        assert told.startswith(f"{name} must be")
        assert "two" not in told


def test_a_file_of_more_than_64_kib_is_refused(tmp_path):
    (tmp_path / "token").write_text("x" * 64 * 1024 + "\n")
    assert (
        refusal(API_TOKEN_FILE=str(tmp_path / "token")) == f"API_TOKEN_FILE: {tmp_path / 'token'} has more than 64 KiB"
    )


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    reader, writer = os.pipe()
    for path in (tmp_path / "fifo", tmp_path, "/dev/zero", f"/dev/fd/{reader}"):
        assert refusal(API_TOKEN_FILE=str(path)) == f"API_TOKEN_FILE: {path} is not a regular file"
    os.close(reader)
    os.close(writer)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    missing = refusal(API_TOKEN_FILE=str(tmp_path / "none"))
    assert missing == f"API_TOKEN_FILE: {tmp_path / 'none'} cannot be read (No such file or directory)"
    assert "UTF-8" in refusal(API_TOKEN_FILE=str(tmp_path / "binary"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.example.org"])
def test_listening_beyond_loopback_without_a_token_is_refused(host):
    line = refusal(HOST=host)
    assert line.startswith(f"HOST={host} ")
    assert "API_TOKEN" in line
    assert "ALLOW_ANONYMOUS" in line
    assert Settings.from_env({"HOST": host, "API_TOKEN": "secret"}).host == host
    assert Settings.from_env({"HOST": host, "ALLOW_ANONYMOUS": "true"}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_loopback_needs_no_token(host):
    assert is_loopback(host)
    assert Settings.from_env({"HOST": host}).api_token is None


def test_a_token_that_only_reads_needs_one_that_may_write():
    assert refusal(API_TOKEN_READONLY="r").startswith("API_TOKEN_READONLY needs API_TOKEN")
    assert Settings.from_env({"API_TOKEN_READONLY": "r", "API_TOKEN": "w"}).api_token_readonly == "r"
    assert refusal(API_TOKEN_READONLY="w", API_TOKEN="w").startswith("API_TOKEN_READONLY is the same as API_TOKEN")


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"REDIS_HOST": "redis"},
        {"DATABASE_URL": "postgresql://db/emails"},
        {"REDIS_URL": "redis://redis", "DATABASE_URL": "sqlite:///emails.db"},
    ],
)
def test_a_worker_node_without_shared_stores_is_refused(environ):
    with pytest.raises(SettingsError, match=r"REDIS_URL .*REDIS_HOST.* DATABASE_URL"):
        serve.worker(argparse.Namespace(), Settings.from_env(environ))


def test_a_data_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    settings = Settings.from_env({"DATA_DIR": str(tmp_path / "file" / "data")})
    with pytest.raises(SettingsError, match=r"^DATA_DIR=.*/file/data cannot be created"):
        serve.serve(argparse.Namespace(), settings)


def test_redis_is_named_by_url_or_by_host_and_port_or_not_at_all():
    assert Settings.from_env({}).redis is None
    assert Settings.from_env({"REDIS_HOST": "redis"}).redis == "redis://redis:6379/0"
    assert Settings.from_env({"REDIS_HOST": "redis", "REDIS_PORT": "7000"}).redis == "redis://redis:7000/0"
    assert Settings.from_env({"REDIS_HOST": "fd00::1"}).redis == "redis://[fd00::1]:6379/0"
    assert Settings.from_env({"REDIS_URL": "redis://other", "REDIS_HOST": "redis"}).redis == "redis://other"
    assert Settings.from_env({"REDIS_PORT": "7000"}).redis is None


def test_the_database_is_in_the_data_folder_unless_it_is_named(tmp_path):
    assert Settings.from_env({"DATA_DIR": str(tmp_path)}).database == f"sqlite:///{tmp_path}/emails.db"
    named = Settings.from_env({"DATA_DIR": str(tmp_path), "DATABASE_URL": "postgresql://db/emails"})
    assert named.database == "postgresql://db/emails"


def test_a_database_that_is_a_file_is_known_by_its_path(tmp_path):
    assert Settings(data_dir=tmp_path).database_file == tmp_path / "emails.db"
    assert Settings(database_url="sqlite:///some%20where/emails.db").database_file == Path("some%20where/emails.db")
    assert Settings(database_url="postgresql://db/emails").database_file is None


def test_the_simulator_is_there_while_no_fakemail_is_named():
    fakemail = {"FAKEMAIL_API_URL": "http://mail"}
    assert Settings.from_env({}).with_simulator
    assert not Settings.from_env(fakemail).with_simulator
    assert Settings.from_env({**fakemail, "SIMULATOR_ENABLED": "true"}).with_simulator
    assert not Settings.from_env({"SIMULATOR_ENABLED": "false"}).with_simulator


def test_auto_is_one_worker_process_less_than_cores_and_at_least_one(monkeypatch):
    for cores, processes in ((None, 1), (1, 1), (2, 1), (8, 7)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert Settings.from_env({}).worker_processes == processes
        assert Settings.from_env({"PROCESSOR_PROCESSES": "0"}).worker_processes == 0


def test_a_node_bears_its_own_name_or_the_hosts(monkeypatch):
    assert Settings.from_env({"NODE_NAME": "left"}).node == "left"
    for host, node in (("mail-1", "mail-1"), ("my node/2", "my-node-2"), ("", "node"), ("x" * 64, "x" * 59)):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        assert Settings.from_env({}).node == node


def test_describing_says_where_each_value_came_from_and_masks_secrets(tmp_path):
    (tmp_path / "token").write_text("hunter2")
    environ = {
        "PORT": "8010",
        "API_TOKEN_FILE": str(tmp_path / "token"),
        "REDIS_URL": "redis://:hunter3@redis",
        "WEBHOOK_SECRET": "whsec_hunter4",
        "ALLOWED_HOSTS": "a b",
    }
    rows = {name: (value, source) for name, value, source in Settings.from_env(environ).describe(environ)}
    assert rows["PORT"] == ("8010", "environment")
    assert rows["API_TOKEN"] == ("********", "file")
    assert rows["REDIS_URL"] == ("********", "environment")
    assert rows["WEBHOOK_SECRET"] == ("********", "environment")
    assert rows["ALLOWED_HOSTS"] == ("a b", "environment")
    assert rows["HOST"] == ("127.0.0.1", "default")
    assert rows["API_TOKEN_READONLY"] == ("", "default")
    assert "hunter" not in repr(rows)


def test_passwords_of_urls_are_secrets_wherever_they_stand():
    environ = {"REDIS_URL": "redis+sentinel://:one@s1/ours/0?sentinel_password=two", "API_TOKEN": "three"}
    assert set(Settings.from_env(environ).secrets()) == {"one", "two", "three"}


def test_an_encoded_password_is_a_secret_in_both_spellings():
    environ = {"DATABASE_URL": "postgresql://me:one%2Ftwo@db/emails"}
    assert set(Settings.from_env(environ).secrets()) == {"one%2Ftwo", "one/two"}


def test_every_variable_has_a_help_text_and_secrets_are_marked():
    variables: dict[str, Variable] = {each.name: each.metadata["variable"] for each in dataclasses.fields(Settings)}
    assert all(variable.help for variable in variables.values())
    secret = {name for name, variable in variables.items() if variable.secret}
    assert secret >= {name for name in variables if "token" in name or "secret" in name}
    assert secret >= {"redis_url", "database_url"}  # they may contain a password


def test_settings_do_not_change_after_the_start():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]  # the point of the test
