"""Binds addresses to listen on, in the same way for the launcher, which only checks them, and for the server.

Called by commands/serve.py, web/server.py, storage/embedded.py, the drill, benchmarks and tests. Loads no gevent.
"""

import errno
import socket

from engine.errors import InUseError, SettingsError


def bound(host: str, port: int, setting: str = "PORT") -> socket.socket:
    """Return a socket bound to this address, IPv4 if a name has both. A SettingsError names the port's `setting`."""
    sock = None
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except (OSError, UnicodeError) as error:  # UnicodeError: the text cannot be a host name
        if sock is not None:
            sock.close()
        raise refused(host, port, setting, error) from None
    return sock


def refused(host: str, port: int, setting: str, error: Exception) -> SettingsError:
    """Return the one-line error for an address that cannot be bound; InUseError if another process listens there."""
    reason = (
        "this is not a valid host name"
        if isinstance(error, UnicodeError)
        else getattr(error, "strerror", None) or str(error)
    )
    kind = InUseError if getattr(error, "errno", None) == errno.EADDRINUSE else SettingsError
    return kind(f"HOST, {setting}: cannot listen on {host}:{port}: {reason.lower()}")


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on at this moment."""
    with bound(host, 0) as probe:
        return int(probe.getsockname()[1])
