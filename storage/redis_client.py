"""Clients of Redis: connecting by URL, and telling what its errors mean. Called by the stores beside it, and by the commands at the start.

Relies on redis-py with hiredis. Nothing is retried in here: a repeated write is the caller's decision, who knows whether it
may happen twice; each error that leaves is a DependencyTrouble, or a SettingsError where an operator has to act. The launcher, which
has no gevent, connects by this too.
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
"""How redis-py describes, at a length of a thousand characters, a sentinel that does not answer."""

SENTINEL_CONNECTIONS = 2_000
"""A Sentinel's pool raises where others wait for a place (at 100 by default): more than ever ask at once."""
REDIS_FLOOR, VALKEY_FLOOR = (7, 0), (7, 2)


class QuickParser(_HiredisParser):
    """Looks whether an idle connection was closed with one system call, where redis-py makes a poll of gevent's (half of a call)."""

    def can_read(self, timeout: float = 0) -> bool:
        """As redis-py says: whether something is there, or the connection is gone."""
        plain = getattr(self._sock, "_sock", None)  # what gevent wraps; TLS cannot peek
        if timeout or plain is None or isinstance(self._sock, ssl.SSLSocket) or self._reader.has_data():
            return bool(super().can_read(timeout))
        try:
            plain.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return bool(super().can_read(0))


@contextmanager
def trouble() -> Iterator[None]:
    """Turn whatever the client raises into DependencyTrouble: away, slow, full, loading, read-only, refusing us."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        told = SENTINEL_CLIENT.sub(r"\1:\2: ", str(error))
        raise DependencyTrouble(f"Redis: {told or type(error).__name__}", dependency=DEPENDENCY) from error


def connect(url: str, *, connections: int = 64, patience: float = 0.0) -> "redis.Redis":
    """A client of `url`: redis://, rediss://, unix:// or redis+sentinel://[:password@]host:port,host:port/name[/db].

    Options stand in the query as redis-py names them, such as `rediss://host/0?ssl_ca_certs=/path/ca.pem`. With rediss+sentinel:// both the
    sentinels and the master speak TLS; `?sentinel_password=` is for the sentinels, where they want one.
    A call waits at most TIMEOUT + `patience` seconds (`patience`: how long a blocking read stays at the server), and as long
    for one of `connections`. Raises SettingsError for what is not such a URL.
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
        del options["socket_connect_timeout"]
    else:
        options["socket_keepalive"] = True
    try:
        pool = redis.BlockingConnectionPool.from_url(url, max_connections=connections, timeout=TIMEOUT, **options)
        pool.connection_class(**pool.connection_kwargs)  # not connected: it only finds options that are none
    except (ValueError, TypeError) as error:
        raise SettingsError(f"REDIS_URL: {error}") from error
    return redis.Redis(connection_pool=pool)


def _through_sentinel(url: str, options: dict[str, Any]) -> "redis.Redis":
    """The master that the sentinels name; after a failover its connections are opened anew."""
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
    """What an operator should know of this server, one sentence each; [] when all is well.

    Raises SettingsError when it is too old for us, DependencyTrouble when it is away.
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
