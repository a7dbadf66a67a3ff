"""(f) From a new email at FakeMail to its event on a WebSocket, at 10, 100 and 1,000 emails a second; with and without a first sync."""

from benchmarks.rig import OTHER, Figures, child, folder
from benchmarks.system import fakemail, system

RATES = (10, 100, 1000)


def run(seconds: float, *, backlog: int = 0, rates: tuple[int, ...] = RATES) -> list[Figures]:
    """One system, all rates after each other. `backlog`: so many emails wait in the account when it starts, and are synced meanwhile."""
    with folder() as path, fakemail(path) as account:
        if backlog:
            account.send(backlog)
        with system(path, fakemail_url=account.url, core=None) as ours:
            return [
                {
                    **child("benchmarks.latency_client", account.url, ours.url, rate, seconds, core=OTHER),
                    "backlog": backlog,
                    "synced": ours.stored(),
                }
                for rate in rates
            ]
