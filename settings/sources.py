"""FAKEMAIL_SOURCES: several FakeMail accounts, as JSON or as the path of a JSON file: name → url, token, webhook_secret.

Read by the settings table. Every error is one line that names the source and the field, and never shows a secret.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import SettingsError
from settings.files import read_file

MAIN = "main"
"""The source of FAKEMAIL_API_URL. It equals engine.mailbox.MAIN, which the settings may not import."""

NAME = re.compile(r"[a-z0-9_-]{1,32}")
FIELDS = ("url", "token", "token_file", "webhook_secret", "webhook_secret_file", "webhook_url")

Check = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class SourceSetting:
    """One account. `webhook_url` is where this source is to notify us; None: /webhook/NAME beside WEBHOOK_URL."""

    name: str
    url: str
    token: str | None = None
    webhook_secret: tuple[str, ...] = ()
    webhook_url: str | None = None

    def secrets(self) -> tuple[str, ...]:
        """Return the values that must never be shown."""
        return (*([self.token] if self.token else []), *self.webhook_secret)


def parse_sources(text: str, *, base_url: Check, url: Check, token: Check, secrets: Check) -> tuple[SourceSetting, ...]:
    """Return the accounts in order, checked like the settings of a single one; raises a one-line SettingsError."""
    inline = text.startswith("{")
    folder = Path.cwd() if inline else Path(text).parent
    checks = {"url": base_url, "token": token, "webhook_secret": secrets, "webhook_url": url}
    found = _document(text if inline else _file(text))
    return tuple(_source(name, fields, folder, checks) for name, fields in found.items())


def _file(path: str) -> str:
    try:
        return read_file(path)
    except ValueError as error:
        raise SettingsError(f"FAKEMAIL_SOURCES must be JSON or the path of a JSON file; this one {error}") from None


def _document(text: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SettingsError(f"FAKEMAIL_SOURCES names {twice[0][:40]!r} twice")
        return dict(pairs)

    try:
        found = json.loads(text, object_pairs_hook=unique)
    except ValueError as error:
        place = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise SettingsError(f"FAKEMAIL_SOURCES is not JSON{place}") from None
    if not isinstance(found, dict) or not found:
        raise SettingsError(
            'FAKEMAIL_SOURCES must be an object with at least one source: {"sales": {"url": "https://…"}}'
        )
    return found


def _source(name: str, fields: Any, folder: Path, checks: Mapping[str, Check]) -> SourceSetting:
    if not NAME.fullmatch(name):
        raise SettingsError(f"FAKEMAIL_SOURCES: {name[:40]!r} is not a name: 1 to 32 of a-z, 0-9, _ and -")
    if not isinstance(fields, dict):
        raise _wrong(name, "", 'must be an object such as {"url": "https://…"}')
    if unknown := sorted(set(fields) - set(FIELDS)):
        raise _wrong(name, unknown[0][:40], f"is unknown; the known ones are {', '.join(FIELDS)}")
    values = {field: _value(name, field, fields, folder, check) for field, check in checks.items()}
    if not values["url"]:
        raise _wrong(name, "url", "is missing")
    return SourceSetting(name, values["url"], values["token"], values["webhook_secret"] or (), values["webhook_url"])


def _value(name: str, field: str, fields: Mapping[str, Any], folder: Path, check: Check) -> Any:
    """Return a field, or the content of its file, checked; None if it is missing or empty."""
    path = fields.get(f"{field}_file")
    if path is not None and fields.get(field) is not None:
        raise _wrong(name, field, f"is given twice: here and as {field}_file")
    value = fields.get(field) if path is None else _secret_file(name, field, path, folder)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _wrong(name, field, "must be a string")
    try:
        return check(value.strip())
    except ValueError as error:
        raise _wrong(name, field, str(error)) from None


def _secret_file(name: str, field: str, path: Any, folder: Path) -> str:
    if not isinstance(path, str):
        raise _wrong(name, f"{field}_file", "must be a path")
    try:
        return read_file(folder / path)
    except ValueError as error:
        raise _wrong(name, f"{field}_file", str(error)) from None


def _wrong(name: str, field: str, text: str) -> SettingsError:
    return SettingsError(f"FAKEMAIL_SOURCES: source {name}: {f'{field} ' if field else ''}{text}")
