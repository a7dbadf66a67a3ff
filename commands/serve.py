"""`run.py serve` and `run.py worker`: the launcher of a node's processes; no gevent in here.

It locks DATA_DIR, runs the embedded Valkey where no Redis is set, and keeps one front and the worker processes running.
"""

import argparse
import logging
import os
import secrets
import socket
import sys
from pathlib import Path

from commands.venv import ROOT
from engine import logs
from engine.errors import SettingsError
from engine.launcher import ChildProcess, Launcher
from settings import Settings
from storage.embedded import EmbeddedValkey

log = logging.getLogger(__name__)


def serve(_args: argparse.Namespace, settings: Settings) -> int:
    """Run the whole system on this machine; returns the exit code."""
    logs.setup(settings.log_level, settings.log_format, "launcher")
    _make_folder(settings.data_dir)
    name, token = _node_identity(settings)
    port = settings.port or _free_port(settings.host)
    workers = settings.worker_processes
    embedded = None if settings.redis else EmbeddedValkey(settings.data_dir)
    environment = {**os.environ, "PORT": str(port), "EMAILPROC_NODE": name, "EMAILPROC_TOKEN": token}
    children = [_child("front" if workers else "all", "front", environment, settings)]
    children += [_child("worker", f"worker-{number}", environment, settings) for number in range(1, workers + 1)]
    return Launcher(children, lock=settings.data_dir / "lock", service=embedded).run()


def worker(_args: argparse.Namespace, settings: Settings) -> int:
    """Run a node that only works: it needs a Redis and a PostgreSQL that others reach too."""
    if not settings.redis or not settings.database.startswith("postgres"):
        raise SettingsError("a worker node needs REDIS_URL (or REDIS_HOST) and a postgresql:// DATABASE_URL that it shares with the other nodes")
    logs.setup(settings.log_level, settings.log_format, "launcher")
    name = f"{settings.node}-{secrets.token_hex(2)}"
    environment = {**os.environ, "EMAILPROC_NODE": name, "EMAILPROC_TOKEN": secrets.token_hex(16)}
    count = max(1, settings.worker_processes)
    return Launcher([_child("worker", f"worker-{number}", environment, settings) for number in range(1, count + 1)], lock=None, service=None).run()
