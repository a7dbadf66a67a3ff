"""(i) WebSocket fan-out: 1, 100 and 1,000 clients, one of them stuck, at 100 emails and a few more events a second."""

import json
import subprocess
import sys

from benchmarks.rig import OTHER, OURS, Figures, end, folder, memory_kib, spawn
from benchmarks.system import fakemail, system

RATE = 100


def run(clients: int, seconds: float) -> Figures:
    """Measure with our whole system on one core, and FakeMail, its sender and the clients on the other."""
    with folder() as path, fakemail(path) as account, system(path, fakemail_url=account.url, core=OURS) as ours:
        front = ours.processes()["front"]
        before = memory_kib(front, "VmRSS")
        argv = [sys.executable, "-m", "benchmarks.fanout_client", ours.url, str(clients), str(seconds)]
        crowd = spawn(argv, core=OTHER, stdout=subprocess.PIPE, text=True)
        sender = None
        try:
            assert crowd.stdout is not None
            if crowd.stdout.readline().strip() != "joined":
                raise RuntimeError("the clients could not join")
            joined = memory_kib(front, "VmRSS")
            argv = [sys.executable, "-m", "benchmarks.latency_client", account.url, ours.url, str(RATE), str(seconds)]
            sender = spawn(argv, core=OTHER, stdout=subprocess.DEVNULL)
            figures: Figures = json.loads(crowd.communicate(timeout=seconds + 60)[0].splitlines()[-1])
            after = memory_kib(front, "VmRSS")
        finally:
            end(crowd)
            if sender is not None:
                end(sender)
        return {
            **figures,
            "kib_a_client": (joined - before) / clients,
            "kib_a_client_later": (after - before) / clients,
        }
