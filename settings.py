"""The settings, one line a variable: read from the environment once, checked at start, then handed down as plain values.

Only run.py and this file know the environment. An empty value counts as unset; a wrong one is a SettingsError that names the
variable; `NAME_FILE` reads NAME from a file (container secrets). `describe()` says what is in force and where it came from.
"""

import base64
import ipaddress
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from engine.errors import SettingsError
from settings_sources import MAIN, SourceSetting, parse_sources, read_file

Parser = Callable[[str], Any]
DATA = Path("data")
WHOLE = re.compile(r"-?[0-9]{1,18}")
PASSWORD = re.compile(r"//[^/@\s]*@")
MOST_SOURCES = 100
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def _int(low: int, high: int) -> Parser:
    def parse(text: str) -> int:
        if not WHOLE.fullmatch(text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _float(low: float, high: float) -> Parser:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return value

    return parse


def _bool(text: str) -> bool:
    if text.lower() not in TRUE | FALSE:
        raise ValueError("must be true or false")
    return text.lower() in TRUE


def _choice(*values: str) -> Parser:
    def parse(text: str) -> str:
        found = next((value for value in values if value.lower() == text.lower()), None)
        if found is None:
            raise ValueError(f"must be one of {', '.join(values)}")
        return found

    return parse


def _url(*schemes: str) -> Parser:
    def parse(text: str) -> str:
        try:
            parts = urlsplit(text)
            if "sentinel" not in parts.scheme:  # which names several hosts
                _ = parts.port  # raises ValueError for one that is no number
        except ValueError as error:
            raise ValueError(f"is no URL ({error})") from error
        if parts.scheme not in schemes:
            raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        if parts.scheme.startswith("http") and not parts.hostname:
            raise ValueError("names no host")
        return text.rstrip("/") if parts.scheme.startswith("http") else text

    return parse


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _origins(text: str) -> tuple[str, ...]:
    """What a browser sends as Origin: scheme, host, port if not the usual one, and nothing behind it; no wildcard."""
    for entry in _words(text):
        if not re.fullmatch(r"https?://[^/\s*?#@]+/?", entry):
            raise ValueError("must be origins such as https://app.example")
    return _words(text)


def _networks(text: str) -> tuple[str, ...]:
    """Addresses and networks, checked; a proxy's name could be anybody's tomorrow."""
    for entry in _words(text):
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            raise ValueError("must be addresses or networks such as 10.0.0.0/8") from None
    return _words(text)


def _signing_secrets(text: str) -> tuple[str, ...]:
    """Standard Webhooks secrets: `whsec_` and base64, or plain text; the same reading as fakemail/signature.py's."""
    for number, secret in enumerate(_words(text), start=1):
        key = secret.removeprefix("whsec_")
        if key != secret:
            try:
                usable = bool(base64.b64decode(key + "=" * (-len(key) % 4), validate=True))
            except ValueError:
                usable = False
            if not usable:
                raise ValueError(
                    f"must hold base64 after whsec_ in secret number {number} (`run.py secret new` makes one)"
                )
    return _words(text)


def _line(text: str) -> str:
    """What goes into a header, or is looked for in one: a line break in it would begin another header."""
    if not text.isprintable():
        raise ValueError("must be one line without control characters")
    return text


def _token(text: str) -> str:
    """What a header can carry: a token with a blank or an umlaut in it could never be shown."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be printable ASCII without spaces")
    return text


def _sources(text: str) -> tuple[SourceSetting, ...]:
    return parse_sources(text, url=_url("http", "https"), token=_token, secrets=_signing_secrets)


BY_CORES = -1
"""PROCESSOR_PROCESSES=auto; no other setting is below zero."""


def _processes(text: str) -> int:
    return BY_CORES if text.lower() == "auto" else int(_int(0, 64)(text))


@dataclass(frozen=True)
class Variable:
    """How one setting is read: its parser, its default as text, and whether it must never be shown."""

    parse: Parser
    help: str
    secret: bool = False


def setting(default: Any, parse: Parser, help: str, *, secret: bool = False) -> Any:  # noqa: A002  (reads well in the table)
    """One line of the table below."""
    return dataclass_field(default=default, metadata={"variable": Variable(parse, help, secret)})


@dataclass(frozen=True)
class Settings:
    """All settings. The field's name in upper case is the variable's name."""

    host: str = setting("127.0.0.1", str, "where to listen")
    port: int = setting(8005, _int(0, 65535), "where to listen")
    redis_url: str | None = setting(
        None,
        _url("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"),
        "the Redis or Valkey that holds the mailboxes; none: an embedded Valkey",
        secret=True,
    )
    redis_host: str | None = setting(None, str, "the same, by host")
    redis_port: int = setting(6379, _int(1, 65535), "the same, by port")
    database_url: str | None = setting(
        None,
        _url("sqlite", "postgresql", "postgres"),
        "where the books and results are; none: SQLite in DATA_DIR",
        secret=True,
    )
    data_dir: Path = setting(DATA, Path, "the embedded stores' data; locked while in use")  # noqa: RUF009  (a Path is immutable)
    fakemail_api_url: str | None = setting(None, _url("http", "https"), "the mailbox service; none: our own simulator")
    fakemail_api_token: str | None = setting(None, _line, "the bearer token of our calls to it", secret=True)
    fakemail_sources: tuple[SourceSetting, ...] = setting(
        (), _sources, "further accounts: name → url, token, webhook_secret; JSON, or a JSON file", secret=True
    )
    webhook_url: str | None = setting(None, _url("http", "https"), "what we subscribe with; none: our own /webhook")
    processor_worker_count: int = setting(3, _int(1, 64), "classifier actors in a process")
    processor_processes: int = setting(
        BY_CORES, _processes, "worker processes beside the front; 0: everything in one; auto: by cores"
    )
    processor_max_retries: int = setting(3, _int(0, 100), "retries after the first try, for failures of this email")
    processor_retry_delay_ms: int = setting(
        1000, _int(1, 3_600_000), "first retry's delay; doubles, with jitter, to a minute"
    )
    start_from: str = setting("beginning", _choice("beginning", "now"), "what the first start takes")
    poll_interval_s: float = setting(30.0, _float(0.05, 86_400), "how often the history is looked at unasked")
    history_overlap_s: float = setting(60.0, _float(0, 604_800), "how far back a poll looks")
    gone_after_s: float = setting(60.0, _float(0, 604_800), "how long a listed email may be missing")
    mailbox_limit: int = setting(
        10_000, _int(10, 10_000_000), "messages that may wait in a mailbox; the rest waits in the books"
    )
    min_free_disk_mb: int = setting(
        256, _int(0, 1_000_000), "with less free where our data are, nothing more is taken; 0: never mind"
    )
    max_body_bytes: int = setting(262_144, _int(1_024, 16_777_216), "bodies over this are cut and flagged")
    webhook_secret: tuple[str, ...] = setting(
        (), _signing_secrets, "webhooks must bear a signature by one of these", secret=True
    )
    api_token: str | None = setting(None, _line, "full access", secret=True)
    api_token_readonly: str | None = setting(None, _line, "access that changes nothing", secret=True)
    metrics_token: str | None = setting(None, _token, "/metrics needs this or another token", secret=True)
    session_s: int = setting(43_200, _int(1, 31_536_000), "how long a browser's session lasts")
    allow_anonymous: bool = setting(False, _bool, "listen beyond loopback without a token")
    allowed_hosts: tuple[str, ...] = setting((), _words, "Host names accepted beside loopback ones")
    trusted_proxies: tuple[str, ...] = setting((), _networks, "addresses whose X-Forwarded-* are believed")
    cors_origins: tuple[str, ...] = setting((), _origins, "origins that browsers may call from")
    egress_allow: tuple[str, ...] = setting((), _words, "internal hosts that URLs from the API may name")
    webhook_rate_limit: float | None = setting(None, _float(0, 1e6), "webhooks a second from one address")
    api_rate_limit: float | None = setting(None, _float(0, 1e6), "other calls a second from one address")
    login_rate_limit: float | None = setting(None, _float(0, 1e6), "logins and wrong tokens a minute from one address")
    simulator_enabled: bool | None = setting(None, _bool, "serve /simulator; default: while FAKEMAIL_API_URL is unset")
    classifier_min_confidence: float | None = setting(
        None, _float(0, 1), "below it the label is unknown; none: the model's own"
    )
    keep_bodies_days: float = setting(
        365.0, _float(0, 36_500), "how long emails' bodies and headers are kept; 0: for ever"
    )
    keep_contents_days: float = setting(0.0, _float(0, 36_500), "how long the rest of an email's text is kept")
    keep_attempts_days: float = setting(30.0, _float(0, 36_500), "how long failed tries are kept")
    keep_dead_letters_days: float = setting(90.0, _float(0, 36_500), "how long settled dead letters are kept")
    keep_notifications_days: float = setting(7.0, _float(0, 36_500), "how long notifications are kept")
    keep_events_days: float = setting(7.0, _float(0, 36_500), "how long the event log reaches back at most")
    keep_minutes_days: float = setting(30.0, _float(0, 36_500), "how long counts by the minute are kept")
    log_level: str = setting("INFO", _choice("DEBUG", "INFO", "WARNING", "ERROR"), "how much is logged")
    log_format: str = setting("console", _choice("console", "json"), "how it is written")
    node_name: str | None = setting(None, str, "this node's name in processor_id; none: the host's name")
    status_port: int | None = setting(None, _int(0, 65535), "a worker node's /health* and /metrics")
    base_url: str = setting("http://127.0.0.1:8005", _url("http", "https"), "where commands find the running server")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read and check all variables; raises SettingsError with one line that names the wrong one."""
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
        """What no single variable can tell."""
        anonymous = not self.api_token and not self.allow_anonymous
        if anonymous and not is_loopback(self.host):
            raise SettingsError(
                f"HOST={self.host} listens beyond loopback without a token: set API_TOKEN, or ALLOW_ANONYMOUS=true where only trusted people reach it"
            )
        if self.api_token_readonly and not self.api_token:
            raise SettingsError("API_TOKEN_READONLY needs API_TOKEN beside it")
        if self.api_token and self.api_token == self.api_token_readonly:
            raise SettingsError(
                "API_TOKEN_READONLY is the same as API_TOKEN: whoever may only read could do everything"
            )
        self._check_sources()

    def _check_sources(self) -> None:
        """Each account once: under two names its mail would be processed twice."""
        if self.fakemail_api_url and any(each.name == MAIN for each in self.fakemail_sources):
            raise SettingsError(
                "FAKEMAIL_SOURCES: source main is FAKEMAIL_API_URL already: give it one of the two ways"
            )
        if len(self.fakemail_sources) > MOST_SOURCES:
            raise SettingsError(f"FAKEMAIL_SOURCES: {len(self.fakemail_sources)} sources are more than {MOST_SOURCES}")
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
        return self.redis_url or (f"redis://{self.redis_host}:{self.redis_port}/0" if self.redis_host else None)

    @property
    def database(self) -> str:
        """The URL of the database in use."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'emails.db'}"

    @property
    def worker_processes(self) -> int:
        """Worker processes beside the front: one less than the cores, at least one, unless set."""
        return self.processor_processes if self.processor_processes >= 0 else max(1, (os.cpu_count() or 2) - 1)

    def secrets(self) -> list[str]:
        """Every secret word in force, so that logs can leave them out."""
        found: list[str] = []
        for each in fields(self):
            value = getattr(self, each.name)
            if each.metadata["variable"].secret and value:
                texts = _texts(value)
                found += [word for text in texts for word in (_passwords(text) if "://" in text else [text])]
        return [text for text in found if text]

    @property
    def node(self) -> str:
        """This node's name."""
        return self.node_name or socket.gethostname()

    def describe(self, environ: Mapping[str, str] | None = None) -> list[tuple[str, str, str]]:
        """(variable, value with secrets masked, where from) of every setting."""
        environ = os.environ if environ is None else environ
        rows = []
        for each in fields(self):
            name, value = each.name.upper(), getattr(self, each.name)
            came = "environment" if environ.get(name) else "file" if environ.get(f"{name}_FILE") else "default"
            rows.append((name, _shown(value, secret=each.metadata["variable"].secret), came))
        return rows


def _passwords(url: str) -> list[str]:
    """Before the @, and in the query: `?password=`, `?sentinel_password=`, `?sslpassword=`."""
    parts = urlsplit(url)
    return [parts.password or "", *(value for name, value in parse_qsl(parts.query) if name.endswith("password"))]


def without_password(text: str) -> str:
    """A URL as it may be shown: what stands before an @ in it is left out."""
    return PASSWORD.sub("//********@", text)


def _shown(value: Any, *, secret: bool) -> str:
    """A setting as anybody may see it, written as it may be set."""
    if value is None:
        return ""
    if isinstance(value, int | float):  # true and false too
        return "auto" if value == BY_CORES else f"{value:g}" if isinstance(value, float) else str(value).lower()
    if isinstance(value, tuple) and value and isinstance(value[0], SourceSetting):
        return " ".join(f"{source.name}={without_password(source.url)}" for source in value)
    if secret and value:
        return "********"
    return " ".join(value) if isinstance(value, tuple) else without_password(str(value))


def _texts(value: Any) -> tuple[str, ...]:
    """The secret words of a setting."""
    if not isinstance(value, tuple):
        return (str(value),)
    return tuple(text for each in value for text in (each.secrets() if isinstance(each, SourceSetting) else (each,)))


def is_loopback(host: str) -> bool:
    """Whether listening on this host stays on this machine."""
    return host in {"localhost", "::1"} or host.startswith("127.")


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
