"""`run.py simulator`: the FakeMail simulator alone, with and without its prefix, to act as a remote FakeMail."""

import argparse
import os
import sys

from commands.arguments import whole
from commands.venv import ROOT
from settings import Settings

DEFAULT_PORT = 8025


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="where to listen (default %(default)s; beyond loopback only with API_TOKEN or ALLOW_ANONYMOUS)",
    )
    parser.add_argument(
        "--port", type=whole(0, 65_535), default=DEFAULT_PORT, help="where to listen (default %(default)s; 0: any free)"
    )


def run(args: argparse.Namespace, _settings: Settings) -> None:
    """Replace this process by one that gevent patches from its very start; -P as in commands/serve.py."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "commands.simulator_process", args.host, str(args.port)]
    os.execve(sys.executable, command, environ)  # noqa: S606  (our own interpreter, checked arguments)
