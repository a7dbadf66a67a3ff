"""One process of a node: `python -m commands.process front|worker|all`. Started by the launcher, put together here.

`run` reads as a table of contents: what is started, in its order, and stopped in reverse. The front has the web and all actors
but the classifiers, a worker has the pool, `all` is both in one process (PROCESSOR_PROCESSES=0).
"""

import os

from engine.child import child_started

CHILD = child_started(os.environ)  # first: whoever loses its launcher while it still imports must not outlive it
from gevent import monkey

monkey.patch_all()

import logging
import signal
import sys
import time
from collections.abc import Callable
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
from actors.heart import Heart
from actors.metrics import PROCESS_STARTED, begin_counters
from commands import measuring
from commands.access import access_of
from commands.accounts import open_sources
from commands.drill import poison
from commands.front import Front
from commands.offline import load_classifier
from commands.serve import NODE, PROCESS, REDIS, STATUS, TOKEN
from commands.stores import Patience, Stores, books_were_copied, open_stores
from commands.version import VERSION
from engine import failpoints, logs
from engine.collector import spare_collector
from engine.control import Control
from engine.errors import SettingsError
from engine.events import Bus
from engine.hub import HubWatch, crash, dump_on_signal
from engine.mailbox_actor import Context, RetryPolicy
from engine.supervision import EXIT_CONFIG, ChildSpec
from engine.supervisor import STOP_S, Resize, Supervisor
from settings import Settings
from web.node_status import NodeStatus
from web.waiting import WaitingRoom

FRONT, WORKER, ALL = "front", "worker", "all"
DOOR_S = 1.0

log = logging.getLogger(__name__)


def run(role: str, settings: Settings) -> None:
    """Start, serve until SIGTERM or SIGINT, stop."""
    process = f"{os.environ[NODE]}/{os.environ[PROCESS]}"
    lines = logs.setup(settings.log_level, settings.log_format, process.rsplit("/", 1)[-1], hidden=settings.secrets())
    failpoints.arm(os.environ.get(failpoints.VARIABLE), role, settings.data_dir)
    bus = Bus()
    metrics = measuring.begin(bus, lines)
    bus.emit(PROCESS_STARTED, restarts=CHILD.restarts)
    watch = HubWatch(bus, heartbeat=CHILD.heartbeat)
    watch.start()
    dump_on_signal()
    stop = _stop_signal(alone=CHILD.heartbeat is None)

    patience = Patience(stop)
    room = WaitingRoom(version=VERSION, node=os.environ[NODE], waits=patience.waits)
    status = _listen(role, settings, room)
    stores = _opened(role, settings, process, patience)
    deciders = _deciders(settings, stores, process)
    node_metrics = partial(measuring.of_node, stores.mailboxes, process, metrics)
    control = Control(lambda: _desired(stores), stores.mailboxes, bus=bus)
    context = _context(settings, stores, process, control, bus)

    def unready() -> str | None:
        if stop.is_set():
            return "it is stopping"
        return None if supervisor.ready() else "its actors are starting"

    front = None
    if role != WORKER:
        patience.until(lambda: (open_sources(stores.books, settings), deciders.keep_packaged()))
        token, obstacle = os.environ[TOKEN], lambda: control.obstacle
        front = Front(settings, context, stores, deciders, node_metrics, token=token, ready=unready, obstacle=obstacle)
    specs = [
        _heart(context, lambda: _describe(role, process, supervisor.tree()), metrics.snapshot),
        *_disk_watch(settings, control, bus),
        *(front.specs() if front else []),
        *([] if role == FRONT else [_pool(settings, context, stores, deciders)]),
    ]
    begin_counters(metrics, [spec.name for spec in specs], front.accounts if front else ())
    supervisor = Supervisor.start(name="supervisor", specs=specs, escalate=crash, bus=bus)
    if role != FRONT:
        control.on_change(
            lambda _: supervisor.tell(Resize("classifier", control.workers or settings.processor_worker_count))
        )
    deciders.start(control)
    control.start()
    if front:
        room.enter(front.application)
    pings = {"redis": stores.mailboxes.ping, "database": stores.database.ping}
    status.enter(pings, unready=unready, metrics=node_metrics)
    spare_collector()
    log.info("%s is up", process)

    stop.wait()
    log.info("%s stops", process)
    _wind_down(room, front, control, supervisor)
    watch.stop()
    deciders.stop()
    _close(stores)
    log.info("%s stopped", process)
    logging.shutdown()


def _wind_down(room: WaitingRoom, front: Front | None, control: Control, supervisor: Any) -> None:
    """The doors first, then whoever tells the actors something, then they: before the launcher loses its patience."""
    if front:
        room.close(DOOR_S)
        front.stop()
    control.stop()  # what it reads from now on would be told to a supervisor that is gone
    try:
        supervisor.stop(timeout=STOP_S + 0.5)
    except pykka.Timeout:
        log.warning("the actors did not stop in time; what they hold stays in their mailboxes")


def _context(settings: Settings, stores: Stores, process: str, control: Control, bus: Bus) -> Context:
    return Context(
        store=stores.mailboxes,
        process=process,
        ledger=stores.ledger,
        bus=bus,
        control=control,
        policy=RetryPolicy(settings.processor_max_retries, settings.processor_retry_delay_ms / 1000),
        after_crash=CHILD.after_crash,
    )


def _listen(role: str, settings: Settings, room: WaitingRoom) -> NodeStatus:
    """Open what this process answers on: a front its web, a worker node's first process STATUS_PORT where that is set, others nothing."""
    status = NodeStatus(room, access_of(settings))
    if role != WORKER:
        log.info("listening on http://%s:%d", settings.host, room.open(settings.host, settings.port).port)
    elif STATUS in os.environ and settings.status_port is not None:
        log.info("status on http://%s:%d", settings.host, status.open(settings.host, settings.status_port).port)
    return status


def _heart(context: Context, describe: Callable[[], dict[str, Any]], measure: Callable[[], bytes]) -> ChildSpec:
    """Says what `describe` says of this process, and what it measures."""
    return ChildSpec(
        "heart",
        lambda name: Heart.start(
            name=name,
            bus=context.bus,
            store=context.store,
            process=context.process,
            describe=describe,
            measure=measure,
        ),
    )


def _pool(settings: Settings, context: Context, stores: Stores, deciders: Deciders) -> ChildSpec:
    """The classifiers."""
    return ChildSpec(
        "classifier",
        lambda name: ClassifierActor.start(
            context,
            classifier=deciders,
            results=stores.results,
            name=name,
            rules=deciders.judge,
            offer=deciders.shadow.offer,
        ),
        count=settings.processor_worker_count,
    )


def _opened(role: str, settings: Settings, process: str, patience: Patience) -> Stores:
    """The stores; a front looks whether the books are a copy that is older than what Redis knows."""
    stores = open_stores(settings, os.environ[REDIS], process, patience)
    if role != WORKER and patience.until(lambda: books_were_copied(stores)):
        log.warning(
            "these books are an older copy of what Redis knows: they get a new name, and all open emails are fed again"
        )
        patience.until(lambda: stores.books.renew_books_id(instead_of=stores.books_id))
        _close(stores)
        stores = open_stores(settings, os.environ[REDIS], process, patience)
    return stores


def _disk_watch(settings: Settings, control: Control, bus: Bus) -> list[ChildSpec]:
    """Where a database file or the embedded store is on this machine."""
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


def _close(stores: Stores) -> None:
    stores.mailboxes.close()
    stores.database.close()


def _desired(stores: Stores) -> dict[str, Any]:
    """What shall be; ends this process when the books have got a new name, since the mailboxes that it knows bear the old one."""
    if stores.books.books_id() != stores.books_id:
        crash("the books have a new name: this process starts again with their new mailboxes")
    return stores.desired.all()


def _describe(role: str, process: str, tree: list[Any]) -> dict[str, Any]:
    """What other processes show of this one."""
    workers = [info for info in tree if info.mailbox == CLASSIFY]
    return {
        "node": process.rsplit("/", 1)[0],
        "role": role,
        "pid": os.getpid(),
        "started": STARTED,
        "workers": len(workers),
        "busy": sum(info.busy_since is not None for info in workers),
        "actors": msgspec.to_builtins(tree),
    }


STARTED = time.time()


def _stop_signal(*, alone: bool) -> Event:
    """Set by the first SIGTERM or SIGINT; the second ends the process at once, and nothing is lost by that."""
    stop = Event()

    def asked() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    gevent.signal_handler(signal.SIGTERM, asked)
    if alone:  # otherwise Ctrl-C is the launcher's to act on
        gevent.signal_handler(signal.SIGINT, asked)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that closes is no reason to end
    return stop


def main(argv: list[str]) -> int:
    """Run; a setting that this process refuses ends the launcher too, by its exit code."""
    try:
        run(argv[0], Settings.from_env())
    except SettingsError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return EXIT_CONFIG
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
