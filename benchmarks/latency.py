"""(f) From a new email at FakeMail to its event on a WebSocket, at so many emails a second; with and without a first sync."""

from benchmarks.rig import OTHER, Figures, child, folder
from benchmarks.system import fakemail, system


def run(rate: int, seconds: float, *, backlog: int = 0) -> Figures:
    """One system of its own. `backlog`: so many emails wait in the account when it starts, and are synced meanwhile."""
    with folder() as path, fakemail(path) as account:
        if backlog:
            account.send(backlog)
        with system(path, fakemail_url=account.url, core=None) as ours:
            found = child("benchmarks.latency_client", account.url, ours.url, rate, seconds, core=OTHER)
            return {**found, "backlog": backlog, "synced": ours.stored()}
