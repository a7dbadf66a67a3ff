"""(c) The whole way: FakeMail on the other core; all of ours on one. List, fetch each over HTTP, classify, store, acknowledge, tell."""

import time

from benchmarks.rig import OURS, Figures, folder
from benchmarks.system import fakemail, late, since, system

WARM = 0.05


def run(count: int, *, frozen: bool, processes: int = 1) -> Figures:
    """`count` emails that the account lists when the system starts; timed from the first rows to the last one."""
    with folder() as path, fakemail(path) as account:
        account.send(count)
        number = str(processes)
        with system(path, fakemail_url=account.url, core=OURS, frozen=frozen, PROCESSOR_PROCESSES=number) as ours:
            ours.wait_stored(max(1, int(count * WARM)))
            lags = ours.hub_lags()
            first, began, before = ours.stored(), time.perf_counter(), ours.resources()
            ours.wait_stored(count)
            seconds = time.perf_counter() - began
            after = ours.resources()
            time.sleep(1.2)  # the last second's lags are in the next heartbeat
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
