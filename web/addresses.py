"""Which client an address counts as, and which addresses are our proxies. For web/limits.py, clients.py and auth.py."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache


def source_of(address: str) -> str:
    """Return what an address counts as: "loopback", an IPv4 address, or the /64 network of an IPv6 address."""
    if address.startswith("127."):
        return "loopback"
    if ":" not in address:
        return address
    ip = ipaddress.IPv6Address(address.partition("%")[0])
    if ip.ipv4_mapped is not None:
        return source_of(str(ip.ipv4_mapped))
    return "loopback" if ip.is_loopback else f"{int(ip) >> 64:x}::/64"


@lru_cache(maxsize=64)
def networks(entries: Sequence[str]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Return TRUSTED_PROXIES, parsed; the settings have validated the entries."""
    return tuple(ipaddress.ip_network(entry, strict=False) for entry in entries)


@lru_cache(maxsize=4096)
def is_trusted(address: str, proxies: Sequence[str]) -> bool:
    """Return whether the address belongs to a trusted proxy."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return any((mapped or ip) in network for network in networks(proxies))
