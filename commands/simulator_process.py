"""The process of `run.py simulator`: serves the account in DATA_DIR/simulator-alone until SIGTERM or SIGINT."""

# ruff: noqa: E402  (gevent patches before anything else is imported)

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # until we handle it: no traceback of the imports

from gevent import monkey

monkey.patch_all()

import logging
import sys
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

from commands.access import simulator_access
from engine import logs
from engine.errors import SettingsError
from engine.files import make_folder
from engine.locking import locked
from fakemail.egress import Egress
from fakemail.simulator import open_simulator
from fakemail.simulator_http import LARGEST_REQUEST, simulator_app
from settings import Settings, is_loopback
from web.guarded import Guarded
from web.server import serve
from web.services import Access

log = logging.getLogger(__name__)


def run(host: str, port: int, settings: Settings) -> None:
    """Serve the simulator; its account survives restarts, and belongs to one process at a time."""
    logs.setup(settings.log_level, settings.log_format, "simulator", hidden=settings.secrets())
    access = simulator_access(host, settings)
    folder = settings.data_dir / "simulator-alone"
    make_folder(settings.data_dir, "DATA_DIR")
    with locked(folder / "lock", 0.5):
        _serve(host, port, settings, folder, access)


def _serve(host: str, port: int, settings: Settings, folder: Path, access: Access | None) -> None:
    egress = Egress(settings.egress_allow, loopback=is_loopback(host))
    simulator = open_simulator(folder, settings.webhook_secret, egress)
    app: Any = simulator_app(simulator, bare=True)
    guarded = None if access is None else Guarded(app, access, LARGEST_REQUEST)
    server = serve(guarded or app, host, port, body_cap=guarded.body_cap if guarded else LARGEST_REQUEST)
    log.info("the simulator listens on http://%s:%d, and under /simulator", host, server.port)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stop.set)
    stop.wait()
    server.shutdown(1.0)
    simulator.close()


if __name__ == "__main__":
    try:
        run(sys.argv[1], int(sys.argv[2]), Settings.from_env())
    except SettingsError as error:
        print(f"run.py: {error}", file=sys.stderr)
        sys.exit(error.code)
