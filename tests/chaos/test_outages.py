"""Outages of FakeMail, Redis and the database: /health reports them, no email is blamed, all is processed later."""

import signal
import time

import pytest
import requests

from tests.chaos.rig import until

pytestmark = pytest.mark.chaos

OUTAGE_S = 8.0
BACK_S = 30.0


def status_of(bench, component):
    return bench.health().get("components", {}).get(component, {}).get("status")


def outage(bench, begin, end, component, during=lambda: None):
    """Load, an outage with mail coming in if possible, and its end; return the seconds until all was processed."""
    bench.send(100)
    begin()
    until(f"/health to see that {component} is away", lambda: status_of(bench, component) not in (None, "healthy"), 20)
    ends = time.monotonic() + OUTAGE_S
    while time.monotonic() < ends:
        during()
        time.sleep(0.5)
    end()
    back = time.monotonic()
    bench.send(100)
    bench.settled()
    took = time.monotonic() - back
    until(f"a healthy {component}", lambda: status_of(bench, component) == "healthy", 20)
    bench.balance()
    return took


def webhook(bench):
    began = time.monotonic()
    answer = requests.post(f"{bench.system.url}/webhook", json={"history_id": 1}, timeout=15)
    return answer, time.monotonic() - began


def test_fakemail_killed_and_back(make_rig):
    bench = make_rig().start()

    def back():
        bench.mail.start()
        bench.mail.ready()

    assert outage(bench, bench.mail.kill, back, "fakemail") < BACK_S


def test_fakemail_frozen_holds_up_nothing_else(make_rig):
    bench = make_rig().start()
    answered = []

    def during():
        answered.append(webhook(bench))

    def freeze():
        bench.mail.signal(signal.SIGSTOP)

    took = outage(bench, freeze, lambda: bench.mail.signal(signal.SIGCONT), "fakemail", during)
    assert [answer.status_code for answer, _ in answered] == [202] * len(answered)
    assert max(seconds for _, seconds in answered) < 2
    assert took < BACK_S


def test_redis_killed_comes_back_with_everything(make_rig):
    bench = make_rig().start()
    for _ in range(3):
        bench.send(100)
        bench.system.signal_roles(signal.SIGKILL, "valkey")
        time.sleep(1.0)
    bench.settled()
    bench.balance()


def test_redis_frozen_makes_the_webhook_say_when_to_come_again(make_rig):
    bench = make_rig().start()
    answered = []

    def freeze():
        bench.system.signal_roles(signal.SIGSTOP, "valkey")
        answered.append(webhook(bench))

    took = outage(bench, freeze, lambda: bench.system.signal_roles(signal.SIGCONT, "valkey"), "redis")
    ((answer, seconds),) = answered
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert seconds < 10
    assert took < BACK_S


def test_a_locked_database_stops_no_webhook_and_spends_no_attempt(make_rig):
    bench = make_rig().start()
    bench.send(100)
    bench.settled()
    with bench.evidence.locked():
        bench.send(100)
        end = time.monotonic() + OUTAGE_S
        while time.monotonic() < end:
            answer, seconds = webhook(bench)
            assert (answer.status_code, seconds < 2) == (202, True)
            time.sleep(0.5)
    bench.settled()
    bench.balance()
    assert bench.evidence.rows("SELECT COUNT(*) FROM attempt")[0][0] == 0


def test_a_database_file_that_is_moved_away_is_missed_and_taken_up_again_when_it_is_back(make_rig):
    bench = make_rig().start()
    path = bench.evidence.path
    elsewhere = path.with_name("elsewhere.db")

    def back():
        assert not path.exists(), "an empty database was put in its place"
        elsewhere.rename(path)

    assert outage(bench, lambda: path.rename(elsewhere), back, "database") < BACK_S
