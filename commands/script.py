"""Shared by the four top-level scripts: finds the server, reports failures in one line, sets the exit code."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from commands import ending
from commands.client import CommandError, Server
from settings import Settings


def server_from_env() -> Server:
    """Return the running server that BASE_URL and API_TOKEN name."""
    settings = settings_from_env("BASE_URL", "API_TOKEN")
    return Server(settings.base_url, settings.api_token)


def settings_from_env(*names: str) -> Settings:
    """Read only these settings (or their NAME_FILE files); a script ignores the server's other variables."""
    wanted = [name for each in names for name in (each, f"{each}_FILE") if name in os.environ]
    return Settings.from_env({name: os.environ[name] for name in wanted})


def run(work: Callable[[], None]) -> None:
    """Run a script's work and exit with its code (commands/ending.py); a ValueError is an answer that makes no sense."""

    def guarded() -> None:
        try:
            work()
        except ValueError as error:
            raise CommandError(str(error)) from None

    ending.open_streams()
    sys.exit(ending.run(Path(sys.argv[0]).name, guarded))
