"""`run.py serve` and `run.py worker`: the launcher of a node's processes. It does not use gevent.

It locks DATA_DIR, runs the embedded Valkey if no Redis is set, and keeps one front and the worker processes running.
"""

import argparse
import os
import secrets
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
from engine.files import check_place, make_folder, make_private
from engine.launcher import Launcher, ProcessSpec
from engine.listening import bound, free_port
from settings import Settings
from storage.embedded import EmbeddedValkey
from storage.launcher_sign import LauncherSign

NODE, TOKEN, REDIS, PROCESS = "EMAILPROC_NODE", "EMAILPROC_TOKEN", "EMAILPROC_REDIS_URL", "EMAILPROC_PROCESS"
"""The launcher passes these to its children beside the settings (see commands/process.py)."""

STATUS = "EMAILPROC_STATUS"
"""Set for the one process of a worker node that answers on STATUS_PORT."""

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""A batch is too small to parallelise; idle thread pools, or a memory arena for each thread that waits for the
database, would only cost memory in every process."""


def serve(_args: argparse.Namespace, settings: Settings) -> int:
    """Run the whole system on this machine; return the exit code."""
    logs.setup(settings.log_level, settings.log_format, "launcher", hidden=settings.secrets())
    make_folder(settings.data_dir, "DATA_DIR")
    name, token = _identity(settings)
    port = settings.port or free_port(settings.host)  # chosen here, so that a restarted front keeps its port
    own = {"PORT": str(port), NODE: name, TOKEN: token}
    workers = settings.worker_processes
    children = [_child("front" if workers else "all", "front"), *_workers(workers)]
    embedded = None if settings.redis else EmbeddedValkey(settings.data_dir)

    def environ() -> dict[str, str]:
        return {**ONE_THREAD, **os.environ, **own, REDIS: embedded.url if embedded else settings.redis or ""}

    def check() -> None:
        _look_at(settings.host, port, "PORT")
        if settings.database_file is not None:
            check_place(settings.database_file, "DATABASE_URL")  # or else each process would say so, after the start

    with _sign(settings.redis, settings.node_name or name):
        return Launcher(
            children,
            lock=settings.lock,
            environ=environ,
            services=[embedded] if embedded else [],
            check=check,
        ).run()


def worker(_args: argparse.Namespace, settings: Settings) -> int:
    """Run a node of worker processes only. It needs a Redis and a PostgreSQL that it shares with other nodes."""
    redis = settings.redis
    if not redis or settings.database_file:
        raise SettingsError(
            "a worker node needs REDIS_URL (or REDIS_HOST) and a postgresql:// DATABASE_URL, shared with the other nodes"
        )
    logs.setup(settings.log_level, settings.log_format, "launcher", hidden=settings.secrets())
    own = {NODE: f"{settings.node}-{secrets.token_hex(2)}", TOKEN: secrets.token_hex(16), REDIS: redis}
    # A node without data of its own has a private lock.
    with _sign(redis, own[NODE]), tempfile.TemporaryDirectory(prefix="email-processor-") as folder:
        first, *others = _workers(max(1, settings.worker_processes))
        answering = replace(first, env={**first.env, STATUS: "1"})  # this process answers for the node
        return Launcher(
            [answering, *others],
            lock=Path(folder) / "lock",
            environ=lambda: {**ONE_THREAD, **os.environ, **own},
            check=partial(_look_at, settings.host, settings.status_port, "STATUS_PORT"),
        ).run()


def _sign(redis: str | None, node: str) -> AbstractContextManager[Any]:
    """Publish that this launcher is alive if other nodes may share our Redis; nobody else uses the embedded one."""
    return LauncherSign(redis, node) if redis else nullcontext()


def _workers(count: int) -> list[ProcessSpec]:
    return [_child("worker", f"worker-{number}") for number in range(1, count + 1)]


def _child(role: str, name: str) -> ProcessSpec:
    """Return the spec of one process. -P: no module may come from the folder where the command was started."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return ProcessSpec(
        name, [sys.executable, "-P", "-m", "commands.process", role], {PROCESS: name, "PYTHONPATH": path}
    )


def _identity(settings: Settings) -> tuple[str, str]:
    """Return this node's name and its lease token, kept in DATA_DIR: the holder of that folder's lock is this node."""
    path = settings.data_dir / "node"
    try:
        name, token = path.read_text().split()
    except (OSError, ValueError):
        name, token = f"{settings.node}-{secrets.token_hex(2)}", secrets.token_hex(16)
        draft = path.with_suffix(".new")
        make_private(draft)
        draft.write_text(f"{name} {token}\n")
        draft.replace(path)
    return settings.node_name or name, token


def _look_at(host: str, port: int | None, setting: str) -> None:
    """Check before the start that the port can be listened on.

    Raises SettingsError if not; None: there is no port to check.
    """
    if port is not None:
        bound(host, port, setting).close()
