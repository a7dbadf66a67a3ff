"""Decides which URLs that came over the API may be called, so that no client can direct us into our internal network.

web/system.py and web/subscriptions.py check a URL before they store it, fakemail/transport.py for each new connection:
the name is resolved once, all its addresses must be allowed, and the connection goes to one of these same addresses.
URLs from the settings are trusted.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

import gevent
from gevent import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Endpoint = tuple[int, tuple[Any, ...]]
"""An address family and the address that `connect` takes."""

PORTS = {"http": 80, "https": 443}
RESOLVE_S = 2.0
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
LOOPBACK = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))
PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
"""The global unicast addresses. Others are loopback, link-local, site-local, unassigned, or wrap an IPv4 address."""

SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    )
)  # fmt: skip
"""IANA's registries of special addresses, including tunnels and anycast, and the one of a cloud machine's host.

They are listed here because Python's `is_global` differs between versions (3.11 passes 192.0.0.192 and fec0::/10).
"""

HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")


class EgressRefused(ValueError):
    """The URL may not be called; the message says why and does not contain the URL."""


class Egress:
    """Allows public addresses, what `allow` opens (addresses, networks, host names), and the origins of `trusted` URLs.

    `loopback` opens this machine itself, which is right as long as only this machine can send requests.
    """

    def __init__(self, allow: Iterable[str] = (), *, loopback: bool = False, trusted: Iterable[str] = ()) -> None:
        self.loopback = loopback
        self._networks: list[Network] = []
        self._names: set[str] = set()
        for entry in allow:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self._names.add(entry.lower().rstrip("."))
        self._trusted = {_origin(_split(url)) for url in trusted}

    def check(self, url: str) -> None:
        """Raise EgressRefused if the URL may not be called. An unresolvable name passes: connecting checks it again."""
        host, port = _origin(_split(url))
        if (host, port) in self._trusted:
            return
        try:
            self._endpoints(host, port)
        except OSError:
            return

    def resolve(self, host: str, port: int) -> Sequence[Endpoint]:
        """Return the endpoints of a host; raises EgressRefused if any address is closed, OSError if there is none."""
        host = host.lower().rstrip(".")
        return _lookup(host, port) if (host, port) in self._trusted else self._endpoints(host, port)

    def allows(self, address: Address) -> bool:
        """Return whether an address may be called, together with every address that is wrapped in it."""
        return any(address in network for network in self._networks) or all(map(self._open, _unwrapped(address)))

    def _endpoints(self, host: str, port: int) -> Sequence[Endpoint]:
        found = _lookup(host, port)
        if host not in self._names:
            for _, sockaddr in found:
                if not self.allows(ipaddress.ip_address(str(sockaddr[0]).partition("%")[0])):
                    raise EgressRefused(
                        "its host is at an address of an internal network, which EGRESS_ALLOW does not allow"
                    )
        return found

    def _open(self, address: Address) -> bool:
        if any(address in network for network in LOOPBACK):
            return self.loopback
        if address.version == 6 and address not in PUBLIC_IPV6:
            return False
        return not any(address in network for network in SPECIAL)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in PORTS and bool(HOST.fullmatch(parts.hostname or "")) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise EgressRefused("it must be an http:// or https:// URL with a host, in printable ASCII without spaces")
    if parts.username is not None or parts.password is not None:
        raise EgressRefused("it must not hold a user name or a password")
    return parts


def _origin(parts: SplitResult) -> tuple[str, int]:
    return (parts.hostname or "").rstrip("."), parts.port or PORTS[parts.scheme]


def _lookup(host: str, port: int) -> Sequence[Endpoint]:
    """Return all addresses of a host, each once; raises OSError if there are none, or not in time."""
    try:
        with gevent.Timeout(RESOLVE_S, TimeoutError("the name cannot be resolved in time")):
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise EgressRefused("its host is not a valid name") from None
    return list(dict.fromkeys((family, sockaddr) for family, _, _, _, sockaddr in found))


def _unwrapped(address: Address) -> list[Address]:
    """Return the addresses that must be open.

    That is the address itself, or the IPv4 address to which the kernel or a gateway translates it; for ISATAP both.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.ipv4_mapped is not None or address in NAT64:
        return [last]
    isatap = int(address) >> 32 & 0xFDFFFFFF == 0x5EFE
    return [address, last] if isatap else [address]
