"""(e) Webhooks accepted per second and their latency: the system's `/webhook` versus a bare handler, one core each.

FakeMail's account is empty, so only the endpoint is measured: check, store durably in Redis, answer. The client runs on
the other core.
"""

import socket
import sys

from benchmarks.rig import OTHER, Figures, child, cpu_seconds, end, folder, spawn, valkey, wait_for
from benchmarks.system import fakemail, system
from engine.listening import free_port

CONNECTIONS = 16


def bare(seconds: float) -> Figures:
    """Measure the bare handler."""
    with folder() as path, valkey(path) as url:
        port = free_port()
        process = spawn([sys.executable, "-m", "benchmarks.bare", str(port), url])
        try:
            wait_for(lambda: _listens(port), "the bare handler")
            began = cpu_seconds(process.pid)
            figures = _post(f"http://127.0.0.1:{port}/", seconds)
            return {**figures, "cpu_us": (cpu_seconds(process.pid) - began) / figures["requests"] * 1e6}
        finally:
            end(process)


def ours(seconds: float) -> Figures:
    """Measure the front's `/webhook`."""
    # No rate limit applies: by default, calls from this machine are not counted.
    with folder() as path, fakemail(path) as account, system(path, fakemail_url=account.url) as running:
        pid = running.processes()["front"]
        began = cpu_seconds(pid)
        figures = _post(f"{running.url}/webhook", seconds)
        return {**figures, "cpu_us": (cpu_seconds(pid) - began) / figures["requests"] * 1e6}


def _post(url: str, seconds: float) -> Figures:
    return child("benchmarks.poster", url, seconds, CONNECTIONS, core=OTHER)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
