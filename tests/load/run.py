"""`make load`: the scenarios of locustfile.py in turn, headless, against the server at BASE_URL.

`python -m tests.load.run [--scenario mixed] [--seconds 30] [--users 40] [--own-server]`. The exit code is 1 if one
fails. With --own-server it starts a server on temporary data, which is what CI does.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = {
    "webhook": ("WebhookBurst",),
    "mail": ("SteadyMail",),
    "dashboards": ("Dashboard", "SteadyMail"),  # with some mail, since otherwise there are no events
    "readers": ("ApiReader",),
    "mixed": ("WebhookBurst", "SteadyMail", "ApiReader", "Dashboard"),
}


def load(url: str, scenario: str, users: int, seconds: int) -> int:
    """Run one scenario; return locust's exit code."""
    print(f"== {scenario}: {users} users for {seconds} s", flush=True)
    command = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        str(ROOT / "tests/load/locustfile.py"),
        "--headless",
        "--only-summary",
    ]
    command += ["--host", url, "-u", str(users), "-r", str(users), "-t", f"{seconds}s", *SCENARIOS[scenario]]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


@contextmanager
def own_server() -> Iterator[str]:
    """Run a server on a temporary folder; yield its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        environ = {**os.environ, "DATA_DIR": folder, "PORT": str(port), "LOG_LEVEL": "WARNING"}
        process = subprocess.Popen([sys.executable, "run.py", "serve"], cwd=ROOT, env=environ)
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(f"{url}/health/ready", process)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).read()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server did not start")


def main() -> int:
    """Run the requested scenarios."""
    parser = argparse.ArgumentParser(description="load on a running server")
    parser.add_argument("--scenario", choices=[*SCENARIOS, "all"], default="all")
    parser.add_argument("--users", type=int, default=40)
    parser.add_argument("--seconds", type=int, default=30, help="for each scenario")
    parser.add_argument("--own-server", action="store_true", help="start a server of its own")
    args = parser.parse_args()
    chosen = list(SCENARIOS) if args.scenario == "all" else [args.scenario]
    if args.own_server:
        with own_server() as url:
            codes = [load(url, scenario, args.users, args.seconds) for scenario in chosen]
    else:
        url = os.environ.get("BASE_URL") or "http://127.0.0.1:8005"
        codes = [load(url, scenario, args.users, args.seconds) for scenario in chosen]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
