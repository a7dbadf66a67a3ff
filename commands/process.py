"""One process of a node: `python -m commands.process front|worker|all`, started by the launcher.

`run` reads as a table of contents; the methods of `Process` start the parts in order, and `stop` stops them. The front
has the web and all actors but the classifiers, a worker has the classifier pool, and `all` is both in one process
(PROCESSOR_PROCESSES=0).
"""

import os

from engine.child import child_started

CHILD = child_started(os.environ)  # first: a process that loses its launcher during the imports must end too
from gevent import monkey

monkey.patch_all()

import logging
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from typing import Any

import gevent
import msgspec
import pykka
from gevent.event import Event

from actors.bodies import CLASSIFY
from actors.classifier import ClassifierActor
from actors.deciding import Deciders
from actors.disk import MIB, DiskWatch
from actors.heartbeat import Heartbeat
from actors.metrics import PROCESS_STARTED, begin_counters
from commands import measuring
from commands.access import access_of
from commands.accounts import open_sources
from commands.drill import poison
from commands.front import Front
from commands.offline import load_classifier
from commands.serve import NODE, PROCESS, REDIS, STATUS, TOKEN
from commands.stores import StartupWait, Stores, open_and_rename_copies, open_stores
from commands.version import VERSION
from engine import clock, failpoints, logs
from engine.collector import spare_collector
from engine.control import Control
from engine.errors import DependencyTrouble, SettingsError
from engine.events import Bus
from engine.hub import HubWatch, crash, dump_on_signal
from engine.mailbox_actor import Context, RetryPolicy
from engine.names import node_of, own_name
from engine.supervision import ChildSpec
from engine.supervisor import STOP_S, Resize, Supervisor
from settings import Settings
from web.node_status import NodeStatus
from web.waiting import WaitingRoom

FRONT, WORKER, ALL = "front", "worker", "all"
DOOR_S = 1.0
CLOSE_S = 1.0
"""How long the stores may take to close; a call that hangs in one of them ends with the process."""


log = logging.getLogger(__name__)


def run(role: str, settings: Settings) -> None:
    """Start, serve until SIGTERM or SIGINT, stop."""
    process = Process(role, settings)
    process.listen()
    process.open_stores()
    process.make_front()
    process.start_actors()
    process.open_doors()
    process.stopping.wait()
    process.stop()


class Process:
    """The parts of one process. The methods are called in their order; each relies on what the earlier ones made."""

    def __init__(self, role: str, settings: Settings) -> None:
        """Set up what depends on nothing else: logs, events, metrics, signals."""
        self.role, self.settings = role, settings
        self.name = f"{os.environ[NODE]}/{os.environ[PROCESS]}"
        name = own_name(self.name)
        lines = logs.setup(settings.log_level, settings.log_format, name, hidden=settings.secrets())
        failpoints.arm(os.environ.get(failpoints.VARIABLE), role, settings.data_dir)
        self.bus = Bus()
        self.metrics = measuring.begin(self.bus, lines)
        self.bus.emit(PROCESS_STARTED, restarts=CHILD.restarts)
        self.watch = HubWatch(self.bus, heartbeat=CHILD.heartbeat)
        self.watch.start()
        dump_on_signal()
        self.stopping = _stop_signal(alone=CHILD.heartbeat is None)
        self.startup = StartupWait(self.stopping)

    def listen(self) -> None:
        """Start to listen: a front for the web, a worker node's first process on STATUS_PORT, if set."""
        settings = self.settings
        self.room = WaitingRoom(
            version=VERSION, node=os.environ[NODE], waits=self.startup.waits, access=access_of(settings)
        )
        self.status = NodeStatus(self.room)
        if self.role != WORKER:
            log.info("listening on http://%s:%d", settings.host, self.room.open(settings.host, settings.port).port)
        elif STATUS in os.environ and settings.status_port is not None:
            log.info(
                "status on http://%s:%d", settings.host, self.status.open(settings.host, settings.status_port).port
            )

    def open_stores(self) -> None:
        """Open the stores, and what reads the desired state from them."""
        settings = self.settings
        opened = open_stores if self.role == WORKER else open_and_rename_copies
        self.stores = stores = opened(settings, os.environ[REDIS], self.name, self.startup)
        # Before a wrong clock prunes anything; if this fails, the first heartbeat compares.
        with suppress(DependencyTrouble):
            clock.compare(stores.mailboxes.time)
        self.deciders = _deciders(settings, stores, self.name)
        self.node_metrics = partial(measuring.of_node, stores.mailboxes, self.name, self.metrics)
        self.control = Control(lambda: _desired(stores), stores.mailboxes, bus=self.bus)
        self.context = Context(
            store=stores.mailboxes,
            process=self.name,
            ledger=stores.ledger,
            bus=self.bus,
            control=self.control,
            policy=RetryPolicy(settings.processor_max_retries, settings.processor_retry_delay_ms / 1000),
            clock=clock.now,
            after_crash=CHILD.after_crash,
        )

    def make_front(self) -> None:
        """Create the web and its actors, if this process has them."""
        self.front: Front | None = None
        if self.role == WORKER:
            return
        self.startup.until(lambda: (open_sources(self.stores.books, self.settings), self.deciders.keep_packaged()))
        self.front = Front(
            self.settings,
            self.context,
            self.stores,
            self.deciders,
            self.node_metrics,
            token=os.environ[TOKEN],
            ready=self.unready,
            obstacle=lambda: self.control.obstacle,
        )

    def start_actors(self) -> None:
        """Start all actors under the supervisor, then what applies the desired state."""
        specs = [
            self._heartbeat(),
            *_disk_watch(self.settings, self.control, self.bus),
            *(self.front.specs() if self.front else []),
            *([] if self.role == FRONT else [self._pool()]),
        ]
        begin_counters(self.metrics, [spec.name for spec in specs], self.front.accounts if self.front else ())
        self.supervisor = Supervisor.start(name="supervisor", specs=specs, escalate=crash, bus=self.bus)
        if self.role != FRONT:
            self.control.on_change(lambda _: self.supervisor.tell(Resize("classifier", self._workers())))
        self.deciders.start(self.control)
        self.control.start()

    def open_doors(self) -> None:
        """Answer requests from now on."""
        if self.front:
            self.room.enter(self.front.application)
        pings = {"redis": self.stores.mailboxes.ping, "database": self.stores.database.ping}
        self.status.enter(pings, unready=self.unready, metrics=self.node_metrics)
        spare_collector()
        log.info("%s is up", self.name)

    def unready(self) -> str | None:
        """Return why the process takes no work yet, or no longer; None if it does."""
        if self.stopping.is_set():
            return "it is stopping"
        return None if self.supervisor.ready() else "its actors are starting"

    def stop(self) -> None:
        """Stop the web, then control, then the actors, all before the launcher runs out of patience."""
        log.info("%s stops", self.name)
        if self.front:
            self.room.close(DOOR_S)
            self.front.stop()
        self.control.stop()  # it would tell a supervisor that is gone
        try:
            self.supervisor.stop(timeout=STOP_S + 0.5)
        except pykka.Timeout:
            log.warning("the actors did not stop in time; what they hold stays in their mailboxes")
        self.watch.stop()
        self.deciders.stop()
        with suppress(gevent.Timeout), gevent.Timeout(CLOSE_S):
            self.stores.close()
        log.info("%s stopped", self.name)
        logging.shutdown()

    def _heartbeat(self) -> ChildSpec:
        """Return the spec of the actor that publishes this process's state and metrics."""
        return ChildSpec(
            "heartbeat",
            lambda name: Heartbeat.start(
                name=name,
                bus=self.bus,
                store=self.stores.mailboxes,
                process=self.name,
                describe=lambda: _describe(self.role, self.name, self.supervisor.tree()),
                measure=self.metrics.snapshot,
            ),
        )

    def _pool(self) -> ChildSpec:
        """Return the spec of the classifier pool."""
        return ChildSpec(
            "classifier",
            lambda name: ClassifierActor.start(
                self.context,
                classifier=self.deciders,
                results=self.stores.results,
                name=name,
                rules=self.deciders.judge,
                offer=self.deciders.shadow.offer,
            ),
            count=self.settings.processor_worker_count,
        )

    def _workers(self) -> int:
        """Return the number of workers set by `resize`, or else by the settings."""
        return self.control.workers or self.settings.processor_worker_count


def _disk_watch(settings: Settings, control: Control, bus: Bus) -> list[ChildSpec]:
    """Return the spec of a disk watch if a database file or the embedded store is on this machine."""
    file = settings.database_file
    folders = [*([file.parent] if file else []), *([] if settings.redis else [settings.data_dir])]
    if not folders or not settings.min_free_disk_mb:
        return []

    def start(name: str) -> Any:
        minimum = settings.min_free_disk_mb * MIB
        return DiskWatch.start(name=name, bus=bus, control=control, folders=folders, minimum=minimum)

    return [ChildSpec("disk", start, critical=False, essential=False)]


def _deciders(settings: Settings, stores: Stores, process: str) -> Deciders:
    return Deciders(
        load_classifier(settings),
        rules=stores.learning.rules,
        models=stores.learning.models,
        shard=process,
        wrap=lambda classifier: poison.armed(classifier, os.environ),
    )


def _desired(stores: Stores) -> dict[str, Any]:
    """Return the desired state. If the books have been renamed, end this process: its mailboxes carry the old name."""
    if stores.books.books_id() != stores.books_id:
        crash("the books have a new name: this process starts again with their new mailboxes")
    return stores.desired.all()


def _describe(role: str, process: str, tree: list[Any]) -> dict[str, Any]:
    """Return what other processes show about this one."""
    workers = [info for info in tree if info.mailbox == CLASSIFY]
    return {
        "node": node_of(process),
        "role": role,
        "pid": os.getpid(),
        "started": STARTED,
        "workers": len(workers),
        "busy": sum(info.busy_since is not None for info in workers),
        "actors": msgspec.to_builtins(tree),
    }


STARTED = time.time()


def _stop_signal(*, alone: bool) -> Event:
    """Return an event that the first SIGTERM or SIGINT sets.

    The second ends the process at once, which loses nothing.
    """
    stop = Event()

    def asked() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    gevent.signal_handler(signal.SIGTERM, asked)
    if alone:  # otherwise the launcher handles Ctrl-C
        gevent.signal_handler(signal.SIGINT, asked)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # do not end when the terminal closes
    return stop


def main(argv: list[str]) -> int:
    """Run the process. If it refuses a setting, its exit code ends the launcher too."""
    try:
        run(argv[0], Settings.from_env())
    except SettingsError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
