"""Parsers for URLs, hosts and networks: each returns the value, or raises a ValueError that says what the text must be.

Used by the settings table and by the commands' arguments. They refuse what could never match or would be taken for
something else: nobody would notice a list entry that matches no host, or an option that is read as part of a file
name.
"""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from settings.parsing import words

LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
NAME = re.compile(rf"(?!(.*\.)?[0-9]+\.?$)({LABEL}\.)*{LABEL}\.?")
"""A host name that is valid in DNS; one that ends in a number would be an address."""

WITH_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(:(?P<port>[0-9]{1,5}))?")
SQLITE = "sqlite:///"
ENCODE = "(in a password, write / as %2F, ? as %3F, # as %23, @ as %40 and % as %25)"
USUAL_PORTS = {"http": 80, "https": 443}


def url(*schemes: str) -> Callable[[str], str]:
    """Return a parser for a URL of one of these schemes."""

    def parse(text: str) -> str:
        try:
            parts = urlsplit(text)
            if "sentinel" not in parts.scheme:  # a Sentinel URL names several hosts
                _ = parts.port  # raises ValueError if it is not a number
        except ValueError:  # its text repeats what stands where the port should: part of a password with a slash, say
            raise ValueError(f"must be a valid URL, with a number up to 65535 as its port {ENCODE}") from None
        found = parts.scheme + text[len(parts.scheme) :]  # urlsplit has made the scheme lower-case
        if parts.scheme not in schemes or not found.startswith(f"{parts.scheme}://"):
            raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        if not parts.scheme.startswith("http"):
            return found
        if not parts.hostname:
            raise ValueError("must name a host")
        if " " in found or not found.isprintable():
            raise ValueError("must not contain spaces")
        return found.rstrip("/")

    return parse


def base_url(text: str) -> str:
    """Parse an http or https URL to which paths are appended."""
    found = url("http", "https")(text)
    if "?" in found or "#" in found:
        raise ValueError("must not contain ? or #: paths are appended to it")
    return found


def redis_url(text: str) -> str:
    """Parse the URL of a Redis or Valkey.

    redis-py reads any other path as "no database", which means 0, and a unix:// without a third slash as another file.
    """
    found = url("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")(text)
    parts = urlsplit(found)
    if parts.scheme in {"redis", "rediss"} and not re.fullmatch(r"(/[0-9]*)?", parts.path):
        raise ValueError("must end with the number of a database, such as /0")
    if "sentinel" in parts.scheme and "@" in parts.path:
        raise ValueError(f"must have its hosts before the first slash {ENCODE}")
    if parts.scheme == "unix" and (parts.netloc.rpartition("@")[2] or not parts.path.strip("/")):
        raise ValueError("must be unix:// and the full path of the socket")
    return found


def database_url(text: str) -> str:
    """Parse the URL of an SQLite file or a PostgreSQL database."""
    if text.startswith(SQLITE):
        file = text.removeprefix(SQLITE)
        if not file or file.endswith("/") or file == ":memory:" or "?" in file:
            raise ValueError("must name a file after sqlite:///, without options")
        return text
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    found = url("postgresql", "postgres")(text)
    if urlsplit(found).netloc.count("@") > 1:  # libpq would take what follows the first one for the host
        raise ValueError(f"must contain one @ at most before its host {ENCODE}")
    return found


def sqlite_file(url: str) -> Path | None:
    """Return the file of a database URL, as storage/drivers.py opens it; None if it is not SQLite."""
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


def host(text: str) -> str:
    """Parse a host name or address, without a port."""
    if not _is_host(text):
        raise ValueError("must be a host's name or address, without a port")
    return text


def hosts(text: str) -> tuple[str, ...]:
    """Parse what Host headers may contain: names, or addresses (IPv6 in brackets), optionally with a port; no wildcard."""
    if not all(map(_is_authority, words(text))):
        raise ValueError("must be host names such as app.example or [fd00::1], optionally with a port")
    return words(text)


def hosts_or_networks(text: str) -> tuple[str, ...]:
    """Parse host names, addresses and networks."""
    if not all(_is_network(entry) or _is_host(entry) for entry in words(text)):
        raise ValueError("must be host names, addresses or networks such as app.internal or 10.0.0.0/8, without a port")
    return words(text)


def networks(text: str) -> tuple[str, ...]:
    """Parse addresses and networks. No names: a proxy's name could belong to somebody else tomorrow."""
    if not all(map(_is_network, words(text))):
        raise ValueError("must be addresses or networks such as 10.0.0.0/8")
    return words(text)


def origins(text: str) -> tuple[str, ...]:
    """Parse what browsers send as Origin: scheme, host, and any unusual port, with nothing after it; no wildcard."""
    for entry in words(text):
        scheme, _, rest = entry.rstrip("/").partition("://")
        if scheme not in USUAL_PORTS or not _is_authority(rest):
            raise ValueError("must be origins such as https://app.example")
        if rest.endswith(f":{USUAL_PORTS[scheme]}") and not rest.endswith("]"):
            raise ValueError(f"must be without :{USUAL_PORTS[scheme]}, which browsers omit")
    return words(text)


def is_loopback(host: str) -> bool:
    """Whether listening on this host stays on this machine."""
    return _is_loopback_address(host) or host == "localhost"


def _is_loopback_address(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _is_host(text: str) -> bool:
    return NAME.fullmatch(text) is not None or ("/" not in text and _is_network(text))


def _is_authority(text: str) -> bool:
    found = WITH_PORT.fullmatch(text)
    if found is None or not 0 < int(found["port"] or 1) <= 65535:
        return False
    host = found["host"]
    return _is_host(host[1:-1]) and ":" in host if host.startswith("[") else _is_host(host)
