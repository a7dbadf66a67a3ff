"""The hub's watch: it measures lag, ends a process whose hub is stuck, and sends heartbeats while the hub turns."""

import os
import subprocess
import sys
import time
from pathlib import Path

import gevent
import pytest

from engine.events import HUB_LAG, Bus
from engine.hub import HubWatch
from tests.engine.helpers import until

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "engine" / "programs" / "hub.py"


def run(behaviour, *arguments, **options):
    return subprocess.run(
        [sys.executable, str(PROGRAM), behaviour, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        **options,
    )


def test_a_frozen_hub_ends_its_process_with_all_stacks():
    ended = run("freeze")
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert "in main" in ended.stderr


def test_a_crash_says_why_and_exits_with_its_code():
    ended = run("crash")
    assert ended.returncode == 70
    assert "this process ends: the test says so" in ended.stderr
    assert "in crash" in ended.stderr


def test_a_signal_dumps_what_every_greenlet_does():
    ended = run("dump")
    assert ended.returncode == 0
    assert "what every greenlet does" in ended.stderr
    assert "gevent.sleep(0.1)" in ended.stderr


def test_heartbeats_reach_the_launcher_and_the_hub_may_turn_longer_than_its_time_out():
    ours, theirs = os.pipe()
    try:
        assert run("turn", str(theirs), pass_fds=(theirs,)).returncode == 0
        assert os.read(ours, 100) == b"..."
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_process_whose_launcher_is_gone_ends():
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        ended = run("turn", str(theirs), pass_fds=(theirs,))
    finally:
        os.close(theirs)
    assert ended.returncode == 70
    assert "the launcher is gone" in ended.stderr


@pytest.fixture
def lags(monkeypatch):
    monkeypatch.setattr("engine.hub.BEAT_EVERY", 0.1)
    monkeypatch.setattr("engine.hub.LAG_EVERY", 0.01)
    bus, seen = Bus(), []
    bus.subscribe(lambda _name, fields: seen.append(fields), HUB_LAG)
    watch = HubWatch(bus, timeout=60.0)
    watch.start()
    yield seen
    watch.stop()


def test_lag_is_told_once_a_beat_with_its_longest(lags):
    gevent.sleep(0.02)
    end = time.perf_counter() + 0.08
    while time.perf_counter() < end:
        pass
    until(lambda: lags)
    assert 0.05 < lags[0]["longest"] < 1.0
    assert lags[0]["longest"] == max(lags[0]["lags"])
