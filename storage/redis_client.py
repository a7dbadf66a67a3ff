"""Redis clients: connects by URL and translates the client's errors.

The stores beside this module use it, the commands at start-up, and the launcher, which runs without gevent. It relies
on redis-py with hiredis. Nothing is retried here: only the caller knows whether a write may happen twice. Errors leave
as DependencyTrouble, or as SettingsError where an operator has to act.
"""

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis._parsers.hiredis import _HiredisParser
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from engine.errors import DependencyTrouble, SettingsError

DEPENDENCY = "redis"
TIMEOUT = 5.0
PROTOCOL = 3
TLS_SENTINEL = "rediss+sentinel"
SENTINEL_CLIENT = re.compile(r"<redis\.client\.Redis\(.*?host=([^,]*),port=(\d+).*?\)>\)>\)> - ")
"""Matches redis-py's description, about a thousand characters long, of a sentinel that does not answer."""

SENTINEL_CONNECTIONS = 2_000
"""The size of a Sentinel's pool (default: 100): larger than ever needed, since an exhausted one raises at once."""
REDIS_FLOOR, VALKEY_FLOOR = (7, 0), (7, 2)


class QuickParser(_HiredisParser):
    """Checks for a closed idle connection by one system call; redis-py polls through gevent (half of a call's cost)."""

    def can_read(self, timeout: float = 0) -> bool:
        """Return whether there is something to read or the connection is gone, like the method of redis-py."""
        plain = getattr(self._sock, "_sock", None)  # the socket that gevent wraps; TLS cannot peek
        if timeout or plain is None or isinstance(self._sock, ssl.SSLSocket) or self._reader.has_data():
            return bool(super().can_read(timeout))
        try:
            plain.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return bool(super().can_read(0))


class SocketConnection(redis.UnixDomainSocketConnection):
    """A connection by unix socket, with the attribute that redis-py misses when the server is too frozen to accept it.

    Its AttributeError would pass for a bug of ours.
    """

    port = None


@contextmanager
def trouble() -> Iterator[None]:
    """Turn any client error into DependencyTrouble: server away, slow, full, loading, read-only, or refusing us."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        told = SENTINEL_CLIENT.sub(r"\1:\2: ", str(error))
        raise DependencyTrouble(f"Redis: {told or type(error).__name__}", dependency=DEPENDENCY) from error


def connect(url: str, *, connections: int = 64, patience: float = 0.0) -> "redis.Redis":
    """Return a client for redis://, rediss://, unix:// or redis+sentinel://[:password@]host:port,host:port/name[/db].

    The URL's query holds options under their redis-py names, such as `rediss://host/0?ssl_ca_certs=/path/ca.pem`. With
    rediss+sentinel:// both the sentinels and the master use TLS; `?sentinel_password=` is for sentinels that need one.
    A call waits at most TIMEOUT + `patience` seconds for its reply (`patience`: how long a blocking read may wait at
    the server), and before that at most TIMEOUT for one of the `connections`. Raises SettingsError for any other URL.
    """
    options: dict[str, Any] = {
        "protocol": PROTOCOL,
        "socket_timeout": TIMEOUT + patience,
        "socket_connect_timeout": TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        "parser_class": QuickParser,
    }
    if url.startswith(("redis+sentinel://", "rediss+sentinel://")):
        return _through_sentinel(url, options)
    if url.startswith("unix://"):
        options["connection_class"] = SocketConnection
    else:
        options["socket_keepalive"] = True
    try:
        pool = redis.BlockingConnectionPool.from_url(url, max_connections=connections, timeout=TIMEOUT, **options)
        pool.connection_class(**pool.connection_kwargs)  # does not connect, but rejects unknown options
    except (ValueError, TypeError) as error:
        raise SettingsError(f"REDIS_URL: {error}") from error
    return redis.Redis(connection_pool=pool)


def _through_sentinel(url: str, options: dict[str, Any]) -> "redis.Redis":
    """Return a client for the master that the sentinels name; after a failover it reconnects to the new master."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    hosts = re.findall(r"([^,:]+)(?::(\d+))?(?:,|$)", where)
    name, _, db = parts.path.strip("/").partition("/")
    if not hosts or not name or not (db or "0").isdigit():
        raise SettingsError("REDIS_URL: a Sentinel URL looks like redis+sentinel://host:26379,host:26379/name/0")
    query, tls = dict(parse_qsl(parts.query)), parts.scheme == TLS_SENTINEL
    both: dict[str, Any] = {"ssl": tls, "max_connections": SENTINEL_CONNECTIONS}
    if tls:
        both |= {key: value for key, value in query.items() if key.startswith("ssl_")}
    ask = {
        **both,
        "socket_timeout": TIMEOUT,
        "protocol": PROTOCOL,
        "retry": Retry(NoBackoff(), 0),
        "password": query.get("sentinel_password"),
    }
    sentinels = [(host, int(port or 26379)) for host, port in hosts]
    sentinel: Any = Sentinel(sentinels, sentinel_kwargs=ask)  # type: ignore[no-untyped-call]  # redis-py: no types here
    extra = {**both, "db": int(db or 0), "socket_keepalive": True}
    credentials = parts.netloc.rpartition("@")[0]
    if credentials:
        username, _, password = credentials.rpartition(":")
        extra |= {"username": unquote(username) or None, "password": unquote(password)}
    master: redis.Redis = sentinel.master_for(unquote(name), **options, **extra)
    return master


def check_server(client: "redis.Redis") -> list[str]:
    """Return warnings about this server for the operator, one sentence each; [] when all is well.

    Raises SettingsError if the server is too old, DependencyTrouble if it is away.
    """
    warnings = _check_version(client)
    try:
        with trouble():
            config = client.config_get("appendonly", "maxmemory", "maxmemory-policy")
    except DependencyTrouble as error:
        if isinstance(error.__cause__, redis.ConnectionError | redis.TimeoutError):
            raise
        return [*warnings, "Redis does not show its configuration: check that appendonly is yes and nothing is evicted"]
    if config.get("appendonly") == "no":
        warnings.append(
            "Redis keeps no append-only file: after its restart all open mail is queued again from the books"
        )
    policy = config.get("maxmemory-policy", "noeviction")
    if policy != "noeviction" and config.get("maxmemory", "0") != "0":
        warnings.append(f"Redis may evict keys (maxmemory-policy {policy}): set noeviction")
    return warnings


def _check_version(client: "redis.Redis") -> list[str]:
    try:
        with trouble():
            info = client.info("server")
    except DependencyTrouble as error:
        if isinstance(error.__cause__, redis.ConnectionError | redis.TimeoutError):
            raise
        return ["Redis does not show its version: Redis 7.0 or Valkey 7.2 or newer is needed"]
    name, version, floor = "Redis", str(info.get("redis_version", "0")), REDIS_FLOOR
    if "valkey_version" in info:
        name, version, floor = "Valkey", str(info["valkey_version"]), VALKEY_FLOOR
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < floor:
        raise SettingsError(f"REDIS_URL: {name} {version} is too old, {floor[0]}.{floor[1]} or newer is needed")
    return []
