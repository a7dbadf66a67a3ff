"""(k) A million emails through the whole way at once, on all cores: time, peak memory per process, balanced books."""

import time

from benchmarks.rig import Figures, folder
from benchmarks.system import fakemail, late, since, system


def run(quick: bool) -> Figures:
    """Run the system on an account that already lists all the emails."""
    count = 10_000 if quick else 1_000_000
    with folder() as path, fakemail(path, core=None) as account:
        account.send(count)
        with system(path, fakemail_url=account.url, core=None) as ours:
            began, before = time.perf_counter(), ours.resources()
            ours.wait_stored(count, patience=300.0, every=0.5)
            seconds = time.perf_counter() - began
            after = ours.resources()
            time.sleep(1.2)
            audit, lag = ours.balanced(), late({}, ours.hub_lags())
            assert audit["results"] == count, audit
    return {
        "emails": count,
        "seconds": seconds,
        "per_s": count / seconds,
        "audit": audit,
        "lag": lag,
        "stages": since(before, after, count),
    }
