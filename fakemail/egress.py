"""May we call this URL? For URLs that came over the API, so that nobody sends us into the network that we stand in.

Asked by web/system.py before a URL is kept, and by fakemail/transport.py for each new connection: a name is resolved once, every
address that it has must be allowed, and the connection goes to one of those very addresses. URLs of the settings are trusted.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

import gevent
from gevent import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Place = tuple[int, tuple[Any, ...]]
"""An address family and what `connect` wants."""

PORTS = {"http": 80, "https": 443}
RESOLVE_S = 2.0
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
COMPATIBLE = ipaddress.IPv6Network("::/96")


class EgressRefused(ValueError):
    """This URL may not be called; the message says why, without the URL in it."""


class Egress:
    """What may be called: public addresses, what `allow` opens (addresses, networks, host names), the origins of `trusted` URLs.

    `loopback` opens this machine itself, which is right while only this machine can ask.
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
        """Pass in silence or raise EgressRefused. A name that cannot be resolved now passes: who connects asks again."""
        host, port = _origin(_split(url))
        if (host, port) in self._trusted:
            return
        try:
            self._places(host, port)
        except OSError:
            return

    def resolve(self, host: str, port: int) -> Sequence[Place]:
        """Where to connect to for this host; EgressRefused where one of its addresses is closed, OSError where it has none."""
        host = host.lower().rstrip(".")
        return _lookup(host, port) if (host, port) in self._trusted else self._places(host, port)

    def allows(self, address: Address) -> bool:
        """Whether this address may be called, and every address that is wrapped in it."""
        return any(address in network for network in self._networks) or all(map(self._open, _unwrapped(address)))

    def _places(self, host: str, port: int) -> Sequence[Place]:
        found = _lookup(host, port)
        if host not in self._names:
            for _, sockaddr in found:
                if not self.allows(ipaddress.ip_address(str(sockaddr[0]).partition("%")[0])):
                    raise EgressRefused(
                        "its host is at an address of an internal network, which EGRESS_ALLOW does not open"
                    )
        return found

    def _open(self, address: Address) -> bool:
        if address.is_loopback:
            return self.loopback
        return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise EgressRefused("it must be an http:// or https:// URL with a host, in printable ASCII without spaces")
    if parts.username is not None or parts.password is not None:
        raise EgressRefused("it must not hold a user name or a password")
    return parts


def _origin(parts: SplitResult) -> tuple[str, int]:
    return (parts.hostname or "").rstrip("."), parts.port or PORTS[parts.scheme]


def _lookup(host: str, port: int) -> Sequence[Place]:
    """All addresses of a host, each once; OSError where there are none, or not in time."""
    try:
        with gevent.Timeout(RESOLVE_S, TimeoutError("the name cannot be resolved in time")):
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise EgressRefused("its host is no name") from None
    return list(dict.fromkeys((family, sockaddr) for family, _, _, _, sockaddr in found))


def _unwrapped(address: Address) -> list[Address]:
    """The address itself, and the IPv4 addresses to which a gateway or the kernel would turn it."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inner: list[Address] = [address]
    if address.sixtofour is not None:
        inner.append(address.sixtofour)
    if address.teredo is not None:
        inner += address.teredo
    if address in NAT64 or (address in COMPATIBLE and int(address) > 1):
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return inner
