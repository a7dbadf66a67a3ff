"""How settings are shown, and which words of them never are. Used by the table of the settings."""

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from settings.sources import SourceSetting

PASSWORD = re.compile(r"//[^/@\s]*@")

BY_CORES = -1
"""PROCESSOR_PROCESSES=auto; no other setting is below zero."""


def passwords(url: str) -> list[str]:
    """Before the @, and in the query: `?password=`, `?sentinel_password=`, `?sslpassword=`."""
    parts = urlsplit(url)
    return [parts.password or "", *(value for name, value in parse_qsl(parts.query) if name.endswith("password"))]


def without_password(text: str) -> str:
    """A URL as it may be shown: what stands before an @ in it is left out."""
    return PASSWORD.sub("//********@", text)


def masked(value: Any, *, secret: bool) -> str:
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


def texts(value: Any) -> tuple[str, ...]:
    """The secret words of a setting."""
    if not isinstance(value, tuple):
        return (str(value),)
    return tuple(text for each in value for text in (each.secrets() if isinstance(each, SourceSetting) else (each,)))
