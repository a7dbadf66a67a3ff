"""Who asks: the address of the client, also behind proxies of ours.

`X-Forwarded-For` is believed from TRUSTED_PROXIES alone, read from its right end: what stands left of the first address that is no
proxy of ours was written by somebody else. Asked by web/ratelimit.py, web/login.py and web/actions.py.
"""

import ipaddress
from collections.abc import Sequence

from web.addresses import is_trusted, source_of
from web.server_body import Environ

MOST_HOPS = 16
FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")
"""By what a proxy or tunnel gives itself away.

One that adds none of these and rewrites Host cannot be told from this machine's own user.
"""


def is_forwarded(environ: Environ) -> bool:
    """Whether the request came through a proxy, ours or another."""
    return any(name.startswith(FORWARDED) for name in environ)


def address_of(environ: Environ, proxies: Sequence[str]) -> str:
    """The client's address: the peer's, or the nearest one before our proxies."""
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
    """What counts as one client: `loopback`, an IPv4 address, or the /64 network of an IPv6 address."""
    return source_of(address_of(environ, proxies))


def _bare(hop: str) -> str:
    """An entry without blanks, brackets and port."""
    text = hop.strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _is_address(text: str) -> bool:
    """Whether it is an address and nothing else: behind a % any text may stand."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text
