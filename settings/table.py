"""The settings, one line per variable: read once from the environment, checked at the start, passed on as plain values.

Only run.py, the commands and this folder read the environment. An empty value counts as unset, and a wrong one raises
a SettingsError that names the variable. `NAME_FILE` reads NAME from a file (container secrets). `describe()` shows
the values in force and where they came from.
"""

import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any

from engine.errors import SettingsError
from settings import addresses
from settings.addresses import is_loopback
from settings.files import read_file
from settings.parsing import boolean, choice, line, number, signing_secrets, token, whole, word
from settings.showing import BY_CORES, masked, passwords, texts, without_password
from settings.sources import MAIN, SourceSetting, parse_sources

Parser = Callable[[str], Any]
DATA = Path("data")
MOST_SOURCES = 100


def _sources(text: str) -> tuple[SourceSetting, ...]:
    return parse_sources(
        text, base_url=addresses.base_url, url=addresses.url("http", "https"), token=token, secrets=signing_secrets
    )


def _processes(text: str) -> int:
    if text.lower() == "auto":
        return BY_CORES
    try:
        return whole(0, 64)(text)
    except ValueError as error:
        raise ValueError(f"{error}, or auto") from None


@dataclass(frozen=True)
class Variable:
    """How one setting is read: its parser, its purpose in a few words, and whether it must never be shown."""

    parse: Parser
    help: str
    secret: bool = False


def setting(default: Any, parse: Parser, help: str, *, secret: bool = False) -> Any:  # noqa: A002  (reads well in the table)
    """Define one line of the table below."""
    return dataclass_field(default=default, metadata={"variable": Variable(parse, help, secret)})


@dataclass(frozen=True)
class Settings:
    """All settings. A field's name in upper case is the name of its variable."""

    host: str = setting("127.0.0.1", str, "the address to listen on")
    port: int = setting(8005, whole(0, 65535), "the port to listen on; 0: any free one")
    redis_url: str | None = setting(
        None,
        addresses.redis_url,
        "the Redis or Valkey that holds the mailboxes; if unset, an embedded Valkey",
        secret=True,
    )
    redis_host: str | None = setting(None, addresses.host, "its host, in place of REDIS_URL")
    redis_port: int = setting(6379, whole(1, 65535), "its port, beside REDIS_HOST")
    database_url: str | None = setting(
        None,
        addresses.database_url,
        "where the books and results are stored; if unset: SQLite in DATA_DIR",
        secret=True,
    )
    data_dir: Path = setting(DATA, Path, "where the embedded stores keep their data; locked while in use")  # noqa: RUF009  (a Path is immutable)
    fakemail_api_url: str | None = setting(None, addresses.base_url, "the mailbox service; if unset, our own simulator")
    fakemail_api_token: str | None = setting(None, line, "the bearer token for our calls to it", secret=True)
    fakemail_sources: tuple[SourceSetting, ...] = setting(
        (), _sources, "further accounts: name → url, token, webhook_secret; JSON, or a JSON file", secret=True
    )
    webhook_url: str | None = setting(
        None, addresses.url("http", "https"), "the URL to subscribe; if unset, our own /webhook"
    )
    processor_worker_count: int = setting(3, whole(1, 64), "classifier actors per process")
    processor_processes: int = setting(
        BY_CORES,
        _processes,
        "worker processes beside the front; 0: everything in one process; auto: by the number of cores",
    )
    processor_max_retries: int = setting(
        3, whole(0, 100), "retries after the first attempt, for failures of this email"
    )
    processor_retry_delay_ms: int = setting(
        1000, whole(1, 3_600_000), "the first retry's delay; doubles, with jitter, up to a minute"
    )
    start_from: str = setting("beginning", choice("beginning", "now"), "what the first start takes")
    poll_interval_s: float = setting(
        30.0, number(0.05, 86_400), "how often the history is checked without a notification"
    )
    history_overlap_s: float = setting(60.0, number(0, 604_800), "how far back such a poll reaches")
    gone_after_s: float = setting(60.0, number(0, 604_800), "how long a listed email may answer 404")
    mailbox_limit: int = setting(
        10_000, whole(10, 10_000_000), "how many messages may wait in a mailbox; the rest wait in the books"
    )
    min_free_disk_mb: int = setting(
        256, whole(0, 1_000_000), "with less free space than this, no new work is taken; 0: no check"
    )
    max_body_bytes: int = setting(262_144, whole(1_024, 16_777_216), "longer bodies are cut and flagged")
    webhook_secret: tuple[str, ...] = setting(
        (), signing_secrets, "webhooks must carry a signature by one of these", secret=True
    )
    api_token: str | None = setting(None, line, "the token for full access", secret=True)
    api_token_readonly: str | None = setting(None, line, "the token for read-only access", secret=True)
    metrics_token: str | None = setting(None, token, "a token for /metrics alone", secret=True)
    session_s: int = setting(43_200, whole(1, 31_536_000), "seconds until a browser has to log in again")
    allow_anonymous: bool = setting(False, boolean, "allow listening beyond loopback without a token")
    allowed_hosts: tuple[str, ...] = setting((), addresses.hosts, "Host names accepted besides loopback names")
    trusted_proxies: tuple[str, ...] = setting(
        (), addresses.networks, "addresses whose X-Forwarded-* headers are trusted"
    )
    cors_origins: tuple[str, ...] = setting((), addresses.origins, "origins whose pages may call the API")
    egress_allow: tuple[str, ...] = setting(
        (), addresses.hosts_or_networks, "internal hosts that URLs from the API may name"
    )
    webhook_rate_limit: float | None = setting(None, number(0, 1e6), "webhooks per second from one address")
    api_rate_limit: float | None = setting(None, number(0, 1e6), "other calls per second from one address")
    login_rate_limit: float | None = setting(
        None, number(0, 1e6), "logins and wrong tokens per minute from one address"
    )
    simulator_enabled: bool | None = setting(
        None, boolean, "whether to serve /simulator; if unset, while no FakeMail is set"
    )
    classifier_min_confidence: float | None = setting(
        None, number(0, 1), "below this confidence the label is unknown; if unset, the model's own threshold"
    )
    keep_bodies_days: float = setting(
        365.0, number(0, 36_500), "days that an email's body and headers are kept; 0: for ever"
    )
    keep_contents_days: float = setting(0.0, number(0, 36_500), "days that the rest of an email's text is kept")
    keep_attempts_days: float = setting(30.0, number(0, 36_500), "days that failed attempts are kept")
    keep_dead_letters_days: float = setting(90.0, number(0, 36_500), "days that settled dead letters are kept")
    keep_notifications_days: float = setting(7.0, number(0, 36_500), "days that notifications are kept")
    keep_events_days: float = setting(7.0, number(0, 36_500), "days that the event log reaches back at most")
    keep_minutes_days: float = setting(30.0, number(0, 36_500), "days that counts per minute are kept")
    log_level: str = setting("INFO", choice("DEBUG", "INFO", "WARNING", "ERROR"), "how much to log")
    log_format: str = setting("console", choice("console", "json"), "how log lines are written")
    node_name: str | None = setting(None, word, "this node's name in processor_id; if unset, the host's name")
    status_port: int | None = setting(None, whole(0, 65535), "the port for a worker node's /health* and /metrics")
    base_url: str = setting("http://127.0.0.1:8005", addresses.base_url, "where the commands find the running server")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read and check all variables; raises a one-line SettingsError that names the wrong one."""
        environ = os.environ if environ is None else environ
        values = {}
        for each in fields(cls):
            text = _lookup(each.name.upper(), environ)
            if text is not None:
                try:
                    values[each.name] = each.metadata["variable"].parse(text)
                except ValueError as error:
                    shown = "(hidden)" if each.metadata["variable"].secret else repr(without_password(text))
                    raise SettingsError(f"{each.name.upper()} {error}, not {shown}") from None
        settings = cls(**values)
        settings.check()
        return settings

    def check(self) -> None:
        """Check what cannot be seen from a single variable; raises SettingsError."""
        anonymous = not self.api_token and not self.allow_anonymous
        if anonymous and not is_loopback(self.host):
            raise SettingsError(
                f"HOST={self.host} listens beyond loopback without a token: set API_TOKEN, or ALLOW_ANONYMOUS=true if only trusted people can reach it"
            )
        if self.api_token_readonly and not self.api_token:
            raise SettingsError("API_TOKEN_READONLY needs API_TOKEN to be set too")
        if self.api_token and self.api_token == self.api_token_readonly:
            raise SettingsError("API_TOKEN_READONLY is the same as API_TOKEN: read-only users could do everything")
        self._check_sources()

    def _check_sources(self) -> None:
        """Check that each account is given once: under two names its mail would be processed twice."""
        if self.fakemail_api_url and any(each.name == MAIN for each in self.fakemail_sources):
            raise SettingsError(
                "FAKEMAIL_SOURCES: source main is already set by FAKEMAIL_API_URL: use only one of the two"
            )
        if len(self.fakemail_sources) > MOST_SOURCES:
            raise SettingsError(
                f"FAKEMAIL_SOURCES: {len(self.fakemail_sources)} sources are more than the limit of {MOST_SOURCES}"
            )
        seen = {(self.fakemail_api_url, self.fakemail_api_token): MAIN}
        for each in self.fakemail_sources:
            other = seen.setdefault((each.url, each.token), each.name)
            if other != each.name:
                raise SettingsError(f"FAKEMAIL_SOURCES: sources {other} and {each.name} are the same account")

    @property
    def with_simulator(self) -> bool:
        """Whether /simulator is served."""
        outside = self.fakemail_api_url or self.fakemail_sources
        return not outside if self.simulator_enabled is None else self.simulator_enabled

    @property
    def redis(self) -> str | None:
        """The URL of the Redis in use; None: the embedded one."""
        if self.redis_url or not self.redis_host:
            return self.redis_url
        host = f"[{self.redis_host}]" if ":" in self.redis_host else self.redis_host
        return f"redis://{host}:{self.redis_port}/0"

    @property
    def database(self) -> str:
        """The URL of the database in use."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'emails.db'}"

    @property
    def database_file(self) -> Path | None:
        """The file of an SQLite database; None: the database is PostgreSQL."""
        return addresses.sqlite_file(self.database)

    @property
    def lock(self) -> Path:
        """The file that is locked while DATA_DIR is in use."""
        return self.data_dir / "lock"

    @property
    def worker_processes(self) -> int:
        """The number of worker processes beside the front: unless set, one less than the cores, at least one."""
        return self.processor_processes if self.processor_processes >= 0 else max(1, (os.cpu_count() or 2) - 1)

    def secrets(self) -> list[str]:
        """Return every secret in force, so that logs can mask them."""
        found: list[str] = []
        for each in fields(self):
            value = getattr(self, each.name)
            if each.metadata["variable"].secret and value:
                words_of = texts(value)
                found += [word for text in words_of for word in (passwords(text) if "://" in text else [text])]
        return [text for text in found if text]

    @property
    def node(self) -> str:
        """This node's name."""
        return self.node_name or re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()[:59]) or "node"

    def describe(self, environ: Mapping[str, str] | None = None) -> list[tuple[str, str, str]]:
        """Return (variable, value with secrets masked, origin) of every setting."""
        environ = os.environ if environ is None else environ
        rows = []
        for each in fields(self):
            name, value = each.name.upper(), getattr(self, each.name)
            came = "environment" if environ.get(name) else "file" if environ.get(f"{name}_FILE") else "default"
            rows.append((name, masked(value, secret=each.metadata["variable"].secret), came))
        return rows


def _lookup(name: str, environ: Mapping[str, str]) -> str | None:
    if environ.get(name, "").strip():
        return environ[name].strip()
    path = environ.get(f"{name}_FILE", "").strip()
    if not path:
        return None
    try:
        return read_file(path) or None
    except ValueError as error:
        raise SettingsError(f"{name}_FILE: {path} {error}") from None
