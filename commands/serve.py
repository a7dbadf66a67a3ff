"""`run.py serve` and `run.py worker`: the launcher of a node's processes; no gevent in here.

It locks DATA_DIR, runs the embedded Valkey where no Redis is set, and keeps one front and the worker processes running.
"""

import argparse
import os
import secrets
import socket
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from commands.venv import ROOT
from engine import logs
from engine.errors import SettingsError
from engine.launcher import ChildProcess, Launcher
from settings import Settings
from storage.embedded import EmbeddedValkey
from storage.launcher_sign import LauncherSign

NODE, TOKEN, REDIS, PROCESS = "EMAILPROC_NODE", "EMAILPROC_TOKEN", "EMAILPROC_REDIS_URL", "EMAILPROC_PROCESS"
STATUS = "EMAILPROC_STATUS"
"""What the launcher tells its children, beside their settings (see commands/process.py)."""


ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""A batch's arithmetic is too small to share out; idle pools of threads would only cost memory in every process, and so would
an arena of memory for each thread that waits for the database."""


def serve(_args: argparse.Namespace, settings: Settings) -> int:
    """Run the whole system on this machine; returns the exit code."""
    os.umask(0o077)  # the mail is nobody else's
    logs.setup(settings.log_level, settings.log_format, "launcher", hidden=settings.secrets())
    _make_folder(settings.data_dir)
    name, token = _identity(settings)
    own = {"PORT": str(settings.port or _free_port(settings.host)), NODE: name, TOKEN: token}
    workers = settings.worker_processes
    children = [_child("front" if workers else "all", "front"), *_workers(workers)]
    embedded = None if settings.redis else EmbeddedValkey(settings.data_dir)

    def environ() -> dict[str, str]:
        return {**ONE_THREAD, **os.environ, **own, REDIS: embedded.url if embedded else settings.redis or ""}

    with _sign(settings.redis, settings.node_name or name):
        return Launcher(
            children,
            lock=settings.data_dir / "lock",
            environ=environ,
            services=[embedded] if embedded else [],
            check=partial(_free_port, settings.host, settings.port),
        ).run()


def worker(_args: argparse.Namespace, settings: Settings) -> int:
    """Run a node that only works: it needs a Redis and a PostgreSQL that others reach too."""
    redis = settings.redis
    if not redis or not settings.database.startswith("postgres"):
        raise SettingsError(
            "a worker node needs REDIS_URL (or REDIS_HOST) and a postgresql:// DATABASE_URL, shared with the other nodes"
        )
    logs.setup(settings.log_level, settings.log_format, "launcher", hidden=settings.secrets())
    own = {NODE: f"{settings.node}-{secrets.token_hex(2)}", TOKEN: secrets.token_hex(16), REDIS: redis}
    with (
        _sign(redis, own[NODE]),
        tempfile.TemporaryDirectory(
            prefix="email-processor-"
        ) as folder,  # a node without data of its own locks nothing
    ):
        first, *others = _workers(max(1, settings.worker_processes))
        answering = replace(first, env={**first.env, STATUS: "1"})  # one process answers for the node
        return Launcher(
            [answering, *others],
            lock=Path(folder) / "lock",
            environ=lambda: {**ONE_THREAD, **os.environ, **own},
            check=partial(_free_port, settings.host, settings.status_port or 0, "STATUS_PORT"),
        ).run()


def _sign(redis: str | None, node: str) -> AbstractContextManager[Any]:
    """Where other nodes may share our Redis, they hear that this launcher lives; the embedded one is nobody else's."""
    return LauncherSign(redis, node) if redis else nullcontext()


def _workers(count: int) -> list[ChildProcess]:
    return [_child("worker", f"worker-{number}") for number in range(1, count + 1)]


def _child(role: str, name: str) -> ChildProcess:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return ChildProcess(name, [sys.executable, "-m", "commands.process", role], {PROCESS: name, "PYTHONPATH": path})


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"DATA_DIR={folder} cannot be made ({error.strerror})") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(f"DATA_DIR={folder} cannot be written")


def _identity(settings: Settings) -> tuple[str, str]:
    """This node's name and the token of its leases, kept beside its data: whoever holds DATA_DIR's lock is this node."""
    path = settings.data_dir / "node"
    try:
        name, token = path.read_text().split()
    except (OSError, ValueError):
        name, token = f"{settings.node}-{secrets.token_hex(2)}", secrets.token_hex(16)
        draft = path.with_suffix(".new")
        draft.write_text(f"{name} {token}\n")
        draft.chmod(0o600)
        draft.replace(path)
    return settings.node_name or name, token


def _free_port(host: str, port: int = 0, name: str = "PORT") -> int:
    """The port, if it can be had; for 0 one is chosen here, so that a restarted front is found where it was."""
    try:
        family, kind, protocol, _, address = min(
            socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE),
            key=lambda entry: entry[0] != socket.AF_INET,
        )
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingsError(f"HOST, {name}: cannot listen on {host}:{port}: {reason}") from None
