"""What the four scripts at the top level share: find the server, do the work, say failures in one line, set the exit code."""

import os
import sys
from collections.abc import Callable

from commands.client import CommandError, Server
from engine.errors import SettingsError
from engine.supervision import EXIT_CONFIG
from settings import Settings

EXIT_INTERRUPTED = 130


def server_from_env() -> Server:
    """The running server that BASE_URL and API_TOKEN name."""
    settings = Settings.from_env(
        {name: os.environ[name] for name in ("BASE_URL", "API_TOKEN", "API_TOKEN_FILE") if name in os.environ}
    )
    return Server(settings.base_url, settings.api_token)


def run(work: Callable[[], None]) -> None:
    """Run a script's work; ends the process with 0, or with one line and 1 (2 for wrong usage, 78 for a wrong setting)."""
    name = sys.argv[0].rsplit("/", 1)[-1]
    try:
        work()
    except SettingsError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    except (CommandError, ValueError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(getattr(error, "code", 1))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
