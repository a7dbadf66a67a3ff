"""(c) The whole way, ours on one core, FakeMail on the other: list, fetch over HTTP, classify, store, acknowledge."""

import time

from benchmarks.rig import OURS, Figures, folder
from benchmarks.system import fakemail, late, since, system

WARM = 0.05
STARTED_S = 2.2
"""After this long, /metrics has told of all that happened during the start; a hub's delays count from then on."""


def run(count: int, *, frozen: bool, processes: int = 1) -> Figures:
    """Process `count` emails that the account lists at the start; timed from the first rows to the last."""
    with folder() as path, fakemail(path) as account:
        account.send(count)
        number = str(processes)
        with system(path, fakemail_url=account.url, core=OURS, frozen=frozen, PROCESSOR_PROCESSES=number) as ours:
            ours.wait_stored(max(1, int(count * WARM)))
            first, began, before = ours.stored(), time.perf_counter(), ours.resources()
            while time.perf_counter() - began < STARTED_S and ours.stored() < count:
                time.sleep(0.02)
            lags = ours.hub_lags()
            ours.wait_stored(count)
            seconds = time.perf_counter() - began
            after = ours.resources()
            time.sleep(1.2)  # the last second's lags arrive with the next heartbeat
            audit, lag = ours.balanced(), late(lags, ours.hub_lags())
        done = count - first
        return {
            "emails": done,
            "seconds": seconds,
            "per_s": done / seconds,
            "results": audit["results"],
            "lag_p999_ms": 1000 * max(lag.values(), default=0.0),
            "lag": lag,
            "stages": since(before, after, done),
        }
