"""Real servers for tests: start one in a folder, get its URL, stop it. Used by conftest.py and the chaos tests."""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

DEADLINE = 20.0


@dataclass
class Program:
    """A running server: its URL and its process."""

    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """Stop the server and wait until it has exited."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


def wait_until(ready: Callable[[], object], what: str = "what was waited for", deadline: float = DEADLINE) -> None:
    """Poll until `ready()`; the TimeoutError says what did not happen."""
    end = time.monotonic() + deadline
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {deadline} s")
        time.sleep(0.01)


def start_valkey(binary: Path, folder: Path, *options: str) -> Program:
    """Start a Valkey that keeps nothing on disk unless `options` say so."""
    folder.mkdir(parents=True, exist_ok=True)
    socket = folder / "valkey.sock"
    base = [
        str(binary),
        "--port",
        "0",
        "--unixsocket",
        str(socket),
        "--dir",
        str(folder),
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    process = subprocess.Popen([*base, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"unix://{socket}"

    def answers() -> bool:
        try:
            with redis.Redis.from_url(url) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.BusyLoadingError):
            return False

    wait_until(answers, "Valkey's first answer")
    return Program(url, process)


def postgres_programs() -> Path | None:
    """Return the folder with initdb and postgres, or None."""
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def start_postgres(folder: Path) -> Program:
    """Start a PostgreSQL on a unix socket, without fsync; as root it runs as the user `postgres` or `nobody`."""
    programs = postgres_programs()
    assert programs is not None
    folder.mkdir(parents=True, exist_ok=True)
    user = _plain_user()
    if user:
        os.chmod(folder.parent, 0o755)  # noqa: PTH101
        shutil.chown(folder, user)
    data = folder / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"],
        check=True,
        user=user,
        capture_output=True,
        cwd="/",
    )
    options = [
        "-c",
        "listen_addresses=",
        "-c",
        f"unix_socket_directories={folder}",
        "-c",
        "fsync=off",
        "-c",
        "max_connections=200",
    ]
    process = subprocess.Popen(
        [programs / "postgres", "-D", data, *options],
        user=user,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    url = f"postgresql://postgres@/postgres?host={folder}"

    def answers() -> bool:
        import psycopg

        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    wait_until(answers, "PostgreSQL's first answer")
    return Program(url, process)


def _plain_user() -> str | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
