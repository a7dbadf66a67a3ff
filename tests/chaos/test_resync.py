"""/resync on a real system whose front is killed repeatedly: it continues, and counts exactly what it recovered."""

import signal
import time
from contextlib import suppress
from typing import Any

import pytest
import requests

from tests.chaos.rig import until

pytestmark = pytest.mark.chaos

EARLIER = 6_000


def test_a_resync_survives_kills_and_recovers_each_email_once(make_rig):
    bench = make_rig(START_FROM="now")
    for _ in range(EARLIER // 1_000):
        bench.send(1_000)
    bench.start()
    until("the first look", lambda: (bench.system.get("/stats") or {}).get("last_history_id"), 30)
    assert bench.system.get("/audit")["listed"] == 0
    answer = requests.post(f"{bench.system.url}/resync", json={"from": "beginning"}, timeout=10)
    assert answer.status_code == 202
    where = answer.headers["Location"]
    task: dict[str, Any] = {}

    def ended():
        with suppress(requests.RequestException, ValueError):
            task.update(bench.system.get(where) or {})
        return task.get("state") not in (None, "queued", "running")

    for _ in range(4):
        if ended():
            break
        bench.system.signal_roles(signal.SIGKILL, "front")
        time.sleep(2.0)
    until("the end of the task", ended, 90)
    assert (task["state"], task["done"], task["total"]) == ("done", EARLIER, EARLIER)
    assert task["recovered"] == EARLIER
    bench.settled(120)
    bench.balance(events=False)
