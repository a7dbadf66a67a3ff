"""The desired state of all nodes as this process last read it: paused, pool size, versions of rules and model.

The truth is in SQL (`read_desired`, passed in by the caller). A call on the store's control topic says "read again",
and the state is reread every REREAD_S in any case. Until it has been read once, nothing is taken: a pause must
survive a restart.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from gevent.event import Event

from engine.events import CONTROL_CHANGED, Bus
from engine.loops import keep_doing
from engine.mailbox import MailboxStore

log = logging.getLogger(__name__)

REREAD_S = 5.0

IDLE_S = 0.05
"""The pause between two calls of `listen`, for stores that answer at once."""

VERSIONS = ("rules", "model")

Callback = Callable[["Control"], None]


class Control:
    """Follows the desired state. `read_desired()` returns `paused`, `workers`, and a version for each of VERSIONS."""

    def __init__(
        self,
        read_desired: Callable[[], Mapping[str, Any]],
        store: MailboxStore,
        *,
        bus: Bus | None = None,
        reread: float = REREAD_S,
    ) -> None:
        self.read_desired, self.store, self.reread = read_desired, store, reread
        self.bus = bus or Bus()
        self.known = False
        self.desired_pause = True
        self.obstacle = ""
        self.workers: int | None = None
        self.versions: dict[str, Any] = dict.fromkeys(VERSIONS)
        self._callbacks: list[Callback] = []
        self._greenlets: list[gevent.Greenlet[..., Any]] = []
        self._called = Event()
        self._heard: str | None = None
        self._deaf = False

    @property
    def paused(self) -> bool:
        """True while nothing may be taken: on request, or for an `obstacle` on this machine (a nearly full disk)."""
        return self.desired_pause or bool(self.obstacle)

    def on_change(self, callback: Callback) -> None:
        """Call `callback` in the control's greenlet after changes, and now if the state is known. It must not block."""
        self._callbacks.append(callback)
        if self.known:
            callback(self)

    def start(self) -> None:
        """Begin to listen for calls and to read the state."""
        self._greenlets = [
            gevent.spawn(keep_doing, self._listen, IDLE_S, "the control topic"),
            gevent.spawn(keep_doing, self._read_as_called, self.reread, "the desired state", wait=self._called.wait),
        ]

    def stop(self) -> None:
        """Stop listening and reading."""
        gevent.killall(self._greenlets, timeout=1.0)

    def read(self) -> None:
        """Read the desired state now, and notify all callbacks if it has changed. Raises DependencyTrouble."""
        desired = self.read_desired()
        workers = desired.get("workers")
        found = (
            bool(desired.get("paused")),
            None if workers is None else int(workers),
            {name: desired.get(name) for name in VERSIONS},
        )
        if self.known and found == (self.desired_pause, self.workers, self.versions):
            return
        self.known = True
        self.desired_pause, self.workers, self.versions = found
        self.bus.emit(CONTROL_CHANGED, paused=self.desired_pause, workers=self.workers, versions=self.versions)
        for callback in self._callbacks:
            try:
                callback(self)
            except Exception:
                log.exception("a listener of the desired state raised")

    def _read_as_called(self) -> None:
        self._called.clear()
        self.read()

    def _listen(self) -> None:
        """Wait for calls; after an outage, assume that one was missed."""
        missed, self._deaf = self._deaf, True
        self._heard, topics = self.store.listen(self._heard, block=self.reread)
        self._deaf = False
        if topics or missed:
            self._called.set()
