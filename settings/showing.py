"""How settings are shown, and which parts of them never are. Used by the settings table."""

import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from settings.sources import SourceSetting

PASSWORD = re.compile(r"//[^/?#\s]*@")
UP_TO_ANY_AT = re.compile(r"//.*@", re.DOTALL)

BY_CORES = -1
"""The value of PROCESSOR_PROCESSES=auto; no other setting is below zero."""


def passwords(url: str) -> list[str]:
    """Return a URL's passwords: before the @, and in its query (`password`, `sentinel_password`, `sslpassword`).

    One that is encoded comes in both spellings: as in the URL, and decoded, as a driver may name it.
    """
    parts = urlsplit(url)
    found = [parts.password or "", *(value for name, value in parse_qsl(parts.query) if name.endswith("password"))]
    return list(dict.fromkeys(spelling for each in found for spelling in (each, unquote(each))))


def without_password(text: str) -> str:
    """Return a URL as it may be shown: anything before an @ in its authority is masked.

    Of what is not a valid URL, anything before any @ is: the password may be why, a slash in it for instance.
    """
    return (PASSWORD if _is_url(text) else UP_TO_ANY_AT).sub("//********@", text)


def _is_url(text: str) -> bool:
    try:
        _ = urlsplit(text).port  # raises ValueError if it is not a number
    except ValueError:
        return False
    return True


def masked(value: Any, *, secret: bool) -> str:
    """Return a setting's value as anybody may see it, in the form in which it can be set."""
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
    """Return the secret words of a setting."""
    if not isinstance(value, tuple):
        return (str(value),)
    return tuple(text for each in value for text in (each.secrets() if isinstance(each, SourceSetting) else (each,)))
