"""The address of the client that sent a request, also behind our own proxies.

`X-Forwarded-For` is believed from TRUSTED_PROXIES only, and read from its right end: anything left of the first address
that is not our proxy was written by somebody else. Used by web/auth.py, web/ratelimit.py, web/login.py and
web/actions.py.
"""

import ipaddress
from collections.abc import Sequence

from web.addresses import is_trusted, source_of
from web.server_body import Environ

MOST_HOPS = 16
FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")
"""Headers that give a proxy or tunnel away.

One that adds none of these and rewrites Host cannot be told from this machine's own user.
"""


def is_forwarded(environ: Environ) -> bool:
    """Return whether the request came through a proxy, ours or another."""
    return any(name.startswith(FORWARDED) for name in environ)


def address_of(environ: Environ, proxies: Sequence[str]) -> str:
    """Return the client's address: the peer's, or the nearest one in front of our proxies."""
    address = str(environ.get("REMOTE_ADDR", ""))
    if not proxies or not is_trusted(address, proxies):
        return address
    hops = str(environ.get("HTTP_X_FORWARDED_FOR", "")).split(",")[-MOST_HOPS:]
    for hop in reversed([_bare(each) for each in hops]):
        if not _is_address(hop):
            break
        address = hop
        if not is_trusted(hop, proxies):
            break
    return address


def client_of(environ: Environ, proxies: Sequence[str]) -> str:
    """Return what counts as one client: `loopback`, an IPv4 address, or the /64 network of an IPv6 address."""
    return source_of(address_of(environ, proxies))


def _bare(hop: str) -> str:
    """Return an entry without blanks, brackets and port."""
    text = hop.strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _is_address(text: str) -> bool:
    """Return whether the text is an address and nothing else: any text may follow a %."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text
