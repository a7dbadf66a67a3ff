"""(f) Latency from a new email at FakeMail to its WebSocket event, at several rates, with and without a first sync."""

from benchmarks.rig import OTHER, Figures, child, folder, wait_for
from benchmarks.system import fakemail, system


def run(rate: int, seconds: float, *, backlog: int = 0) -> Figures:
    """Measure on a fresh system. With `backlog`, the account holds that many emails at the start, synced meanwhile.

    It begins when all of them are listed, since what arrives before that is part of the first sync. Raises RuntimeError
    if the sync ended before the measurement did, whose figures would say nothing about it.
    """
    with folder() as path, fakemail(path) as account:
        if backlog:
            account.send(backlog)
        with system(path, fakemail_url=account.url, core=None) as ours:
            wait_for(lambda: ours.get("/audit")["listed"] >= backlog, "the listing")
            found = child("benchmarks.latency_client", account.url, ours.url, rate, seconds, core=OTHER)
            sent = found["emails"] + found["missing"] + rate  # a second's worth to warm up
            left = backlog + sent - ours.stored() if backlog else 0
            if backlog and left <= 0:
                raise RuntimeError(f"{backlog:,} emails were synced before the measurement ended: take more")
            return {**found, "backlog": backlog, "left": left}
