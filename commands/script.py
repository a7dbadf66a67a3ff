"""Shared by the four top-level scripts: finds the server, reports failures in one line, sets the exit code."""

import os
import sys
from collections.abc import Callable

from commands.client import CommandError, Server
from engine.errors import SettingsError
from settings import Settings

EXIT_INTERRUPTED = 130


def server_from_env() -> Server:
    """Return the running server that BASE_URL and API_TOKEN name."""
    settings = settings_from_env("BASE_URL", "API_TOKEN")
    return Server(settings.base_url, settings.api_token)


def settings_from_env(*names: str) -> Settings:
    """Read only these settings (or their NAME_FILE files); a script ignores the server's other variables."""
    wanted = [name for each in names for name in (each, f"{each}_FILE") if name in os.environ]
    return Settings.from_env({name: os.environ[name] for name in wanted})


def run(work: Callable[[], None]) -> None:
    """Run a script's work.

    On an error, print one line and exit with 1, or 2 for wrong usage, 78 for a wrong setting.
    """
    name = sys.argv[0].rsplit("/", 1)[-1]
    try:
        work()
    except (SettingsError, CommandError, ValueError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(getattr(error, "code", 1))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
