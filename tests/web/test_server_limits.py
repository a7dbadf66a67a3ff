"""Deadlines and slots: slow clients are cut off, surplus ones are refused, and others do not notice."""

import itertools
import os
import resource
import socket
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import gevent
import pytest

from tests.servers import wait_until
from tests.web.server_clients import RawClient, ask, get, serving
from web.addresses import source_of
from web.limits import Door, Limits, Slot, shrink

SHORT = Limits(
    header_seconds=0.15,
    idle_seconds=0.15,
    body_seconds=0.15,
    write_seconds=0.15,
    linger_seconds=0.1,
    bytes_per_second=1_000_000_000,
)
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"


def test_who_asks_every_minute_keeps_the_connection():
    """If the server closed just when the next request is sent, the client would see a reset."""
    assert Limits().idle_seconds > 60


def trickle(client: RawClient, byte: bytes) -> None:
    """Send one byte every 20 ms until the server has had enough."""
    give_up = time.monotonic() + 3
    while time.monotonic() < give_up:
        try:
            client.send(byte)
        except OSError:
            return
        client.sock.settimeout(0.02)
        try:
            if client.sock.recv(1, socket.MSG_PEEK) is not None:
                return
        except TimeoutError:
            continue
        finally:
            client.sock.settimeout(3)


@pytest.fixture(scope="module")
def server():
    with serving(limits=SHORT) as running:
        yield running


def test_a_silent_connection_is_closed(server):
    with RawClient(server) as client:
        began = time.monotonic()
        assert client.at_end()
        assert time.monotonic() - began < 4


@pytest.mark.skipif(not hasattr(socket, "TCP_DEFER_ACCEPT"), reason="the kernel is not Linux")
def test_a_connection_that_says_nothing_stays_with_the_kernel_and_one_that_speaks_late_is_served():
    with serving(deferred=3) as server:
        silent = RawClient(server)
        assert ask(server, get()).status == 200
        wait_until(lambda: server.door.count[Slot.MAIN] == 0)
        assert silent.send(get()).answer().status == 200
        silent.close()


def test_an_idle_keep_alive_is_closed(server):
    with RawClient(server) as client:
        client.send(get()).answer()
        assert client.at_end()


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nX: "])
def test_headers_that_trickle_are_a_408(server, start):
    with RawClient(server) as client:
        trickle(client.send(start), b"a")
        assert client.answer().status == 408
        assert client.at_end()


@pytest.mark.parametrize("head", [POST, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n"])
def test_a_body_that_trickles_is_a_408(server, head):
    with RawClient(server) as client:
        trickle(client.send(head), b"a")
        assert client.answer().status == 408
        assert client.at_end()


def test_a_client_that_does_not_read_is_cut_off():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "50000000")])
        return [b"x" * 50_000_000]

    with serving(app, SHORT) as server, RawClient(server, receive_buffer=4096) as slow:
        slow.send(get())
        wait_until(lambda: len(server.door.inside) == 1)
        wait_until(lambda: not server.door.inside)


def test_what_an_idle_client_never_took_does_not_stay_in_the_kernel():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "100000")])
        return [b"x" * 100_000]

    limits = replace(SHORT, write_seconds=60.0)
    with serving(app, limits) as server, RawClient(server, receive_buffer=4096) as client:
        client.send(get())
        wait_until(lambda: server.door.count[Slot.MAIN] == 1)
        assert held(server.port)
        wait_until(lambda: not held(server.port))


def held(port: int) -> list[str]:
    """Return the states of this port's connections that are open, or closed with unsent data."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[3] for row in rows if row[1].endswith(f":{port:04X}") and row[3] in {"01", "04", "08"}]


def test_a_steady_body_may_take_longer_than_its_deadline():
    limits = Limits(body_seconds=0.1, bytes_per_second=20)
    with serving(limits=limits) as server, RawClient(server) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        for _ in range(5):
            client.send(b"a")
            time.sleep(0.04)
        assert client.answer().json["body"] == "aaaaa"


def test_slow_clients_do_not_slow_others(server):
    slow = [RawClient(server).send(b"GET / HT") for _ in range(50)]
    began = time.monotonic()
    statuses = {ask(server, get()).status for _ in range(20)}
    assert statuses == {200}
    assert time.monotonic() - began < 4
    for client in slow:
        client.close()


def test_a_client_that_pipelines_without_end_lets_others_run():
    turns = [0]
    seen = []

    def app(environ, start_response):
        seen.append(turns[0])
        start_response("200 OK", [("Content-Length", "0")])
        return []

    def other() -> None:
        while True:
            turns[0] += 1
            gevent.sleep(0)

    with serving(app) as server, RawClient(server) as client:
        watcher = gevent.spawn(other)
        client.send(get() * 400)
        wait_until(lambda: len(seen) == 400)
        watcher.kill()
    assert seen[-1] - seen[0] >= 400 // 16 - 1


# slots


def full_house(server, count: int) -> list[RawClient]:
    clients = [RawClient(server) for _ in range(count)]
    for client in clients:
        client.send(get()).answer()
    return clients


def test_beyond_the_limit_the_answer_is_503_and_health_is_still_answered():
    with serving(limits=Limits(connections=3, reserve=2)) as server:
        inside = full_house(server, 3)
        refused = ask(server, get())
        assert (refused.status, refused.headers["retry-after"], refused.headers["connection"]) == (503, "2", "close")
        assert ask(server, get("/health/live")).json["path"] == "/health/live"
        assert ask(server, get("/health")).headers["connection"] == "close"
        assert ask(server, get("/healthy")).status == 503
        assert inside[0].send(get()).answer().status == 200
        inside.pop().close()
        wait_until(lambda: server.door.count[Slot.MAIN] == 2)
        assert ask(server, get()).status == 200
        for client in inside:
            client.close()


def test_health_gets_through_a_flood_of_silent_connections():
    with serving(limits=Limits(connections=2, reserve=2)) as server:
        flood = [RawClient(server) for _ in range(30)]
        assert ask(server, get("/health")).status == 200
        for client in flood:
            client.close()


def test_at_a_full_house_who_was_silent_for_long_makes_room():
    with serving(limits=Limits(connections=2, reserve=1, silent_seconds=0.05)) as server:
        silent = [RawClient(server), RawClient(server)]
        wait_until(lambda: server.door.count[Slot.MAIN] == 2)
        time.sleep(0.06)
        assert ask(server, get()).status == 200
        assert silent[0].at_end()
        for client in silent:
            client.close()


def test_one_address_may_not_take_all():
    limits = Limits(connections_per_address=2, loopback_exempt=False, reserve=1)
    with serving(limits=limits) as server:
        inside = full_house(server, 2)
        assert ask(server, get()).status == 503
        assert ask(server, get("/health")).status == 200
        for client in inside:
            client.close()


def test_connections_that_come_and_go_leave_nothing_behind(server):
    for i in range(200):
        client = RawClient(server)
        if i % 2:
            client.send(get() if i % 4 == 1 else b"GET /")
        if i % 3 == 0:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    wait_until(lambda: not server.door.inside)
    assert not server._handlers
    assert not server.door._by_address


def test_accepting_survives_running_out_of_descriptors(caplog):
    with serving() as server, RawClient(server) as client:
        client.send(get()).answer()
        late = socket.socket()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
        filler = fill_descriptors(highest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        try:
            late.settimeout(5)
            late.connect(("127.0.0.1", server.port))
            late.sendall(get())
            wait_until(lambda: "No new connections for a moment" in caplog.text)
            assert client.send(get()).answer().status == 200
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in filler:
                os.close(descriptor)
        assert late.recv(100).startswith(b"HTTP/1.1 200")
        late.close()


def fill_descriptors(highest: int) -> list[int]:
    """Open files until none is free below `highest`."""
    filler = [os.open("/dev/null", os.O_RDONLY)]
    while filler[-1] < highest:
        filler.append(os.open("/dev/null", os.O_RDONLY))
    os.close(filler.pop())
    return filler


# the door alone


@dataclass(eq=False)
class Guest:
    address: str = "192.0.2.1"
    dropped: list[bool] = field(default_factory=list)

    def drop(self) -> None:
        self.dropped.append(True)


def test_the_door_counts_in_and_out():
    door = Door(Limits())
    guests = [Guest(f"192.0.2.{i}") for i in range(5)]
    assert {door.enter(guest, 0) for guest in guests} == {Slot.MAIN}
    for guest in guests + guests:
        door.leave(guest)
    assert not door.inside
    assert door.count[Slot.MAIN] == 0


def test_a_websocket_gives_its_slot_back_to_the_connections():
    door = Door(Limits(connections=1, websockets=1, reserve=0))
    first, second, third = Guest(), Guest(), Guest()
    assert door.enter(first, 0) is Slot.MAIN
    assert door.enter(second, 0) is Slot.REFUSED
    assert door.upgrade(first)
    assert door.enter(second, 0) is Slot.MAIN
    assert not door.upgrade(second)
    door.leave(first)
    assert door.upgrade(second)
    assert door.enter(third, 0) is Slot.MAIN


def test_who_has_sent_a_request_does_not_make_room():
    door = Door(Limits(connections=2, reserve=0))
    busy, silent, late = Guest(), Guest(), Guest()
    door.enter(busy, 0)
    door.enter(silent, 0)
    door.heard(busy)
    assert door.enter(late, 0.2) is Slot.REFUSED
    assert door.enter(late, 2) is Slot.MAIN
    assert (busy.dropped, silent.dropped) == ([], [True])


def test_who_rests_after_an_answer_makes_room_after_a_while():
    door = Door(Limits(connections=2, reserve=0))
    busy, resting, late = Guest(), Guest(), Guest()
    for guest in (busy, resting):
        door.enter(guest, 0)
        door.heard(guest)
        door.rest(guest, 1)
    door.heard(busy)
    assert door.enter(late, 10) is Slot.REFUSED
    assert door.enter(late, 12) is Slot.MAIN
    assert (busy.dropped, resting.dropped) == ([], [True])


def test_at_the_limit_of_one_address_its_own_rest_makes_room():
    door = Door(Limits(connections_per_address=1, reserve=0))
    other, resting, late = Guest("192.0.2.9"), Guest(), Guest()
    for guest in (other, resting):
        door.enter(guest, 0)
        door.heard(guest)
        door.rest(guest, 1)
    assert door.enter(late, 10) is Slot.REFUSED
    assert door.enter(late, 12) is Slot.MAIN
    assert (other.dropped, resting.dropped) == ([], [True])


@pytest.mark.parametrize(("proxies", "slot"), [(("10.0.0.0/8",), Slot.MAIN), ((), Slot.REFUSED)])
def test_behind_a_proxy_of_ours_are_many_clients(proxies, slot):
    door = Door(Limits(connections_per_address=1, reserve=0, proxies=proxies))
    assert door.enter(Guest("10.0.0.7"), 0) is Slot.MAIN
    assert door.enter(Guest("10.0.0.7"), 0) is slot
    assert door.enter(Guest("192.0.2.9"), 0) is Slot.MAIN
    assert door.enter(Guest("192.0.2.9"), 0) is Slot.REFUSED


def test_an_idle_connection_is_closed_for_another_at_a_full_house():
    with serving(limits=Limits(connections=1, reserve=0, resting_seconds=0.0)) as server:
        (idle,) = full_house(server, 1)
        assert ask(server, get()).status == 200
        assert idle.at_end()
        idle.close()


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("127.0.0.9", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_an_address_has_one_source(address, source):
    assert source_of(address) == source


def test_an_ipv6_network_counts_as_one_address():
    assert source_of("2001:db8::1") == source_of("2001:db8::ffff:1%eth0") != source_of("2001:db8:0:1::1")


@pytest.mark.parametrize("descriptors", [64, 300, 1024, 4096, 100_000])
def test_slots_fit_into_the_descriptors(descriptors):
    limits = shrink(Limits(), descriptors)
    slots = limits.connections + limits.websockets + limits.reserve
    assert 3 <= slots <= max(descriptors - 256, descriptors // 2)
    assert all(itertools.starmap(int.__le__, [(limits.connections, 2048), (limits.websockets, 2048)]))
