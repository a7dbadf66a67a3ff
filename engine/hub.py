"""Watches gevent's hub: measures its lag, sends heartbeats to the launcher, and ends the process if the hub is frozen.

Started first in each process. A frozen hub cannot watch itself, so faulthandler's own C thread does. The hub resets
that timer every second; if it fails to, the thread dumps all stacks and ends the process (a Python thread could not
even run while a C call holds the GIL). SIGUSR1 logs what every greenlet does.
"""

import faulthandler
import gc
import logging
import os
import signal
import sys
import time
import traceback
from typing import Any

import gevent
from greenlet import greenlet

from engine.events import HUB_LAG, Bus
from engine.supervision import EXIT_ESCALATED

log = logging.getLogger(__name__)

LAG_EVERY = 0.05
BEAT_EVERY = 1.0


class HubWatch:
    """A hub that does not turn for `timeout` seconds ends the process. `heartbeat` is the launcher's pipe, if any."""

    def __init__(self, bus: Bus, *, timeout: float = 10.0, heartbeat: int | None = None) -> None:
        self.bus, self.timeout, self.heartbeat = bus, timeout, heartbeat
        self._greenlets: list[gevent.Greenlet[..., Any]] = []

    def start(self) -> None:
        """Start watching."""
        self._greenlets = [gevent.spawn(self._beat), gevent.spawn(self._measure)]

    def stop(self) -> None:
        """Stop watching, so that the process may take its time to end."""
        gevent.killall(self._greenlets)
        faulthandler.cancel_dump_traceback_later()

    def _beat(self) -> None:
        while True:
            faulthandler.dump_traceback_later(self.timeout, exit=True, file=sys.__stderr__ or 2)
            self._tell_launcher()
            gevent.sleep(BEAT_EVERY)

    def _tell_launcher(self) -> None:
        if self.heartbeat is None:
            return
        try:
            os.write(self.heartbeat, b".")
        except BlockingIOError:
            return  # the pipe is full: the launcher has been stopped for hours, and needs no more heartbeats
        except OSError:
            crash("the launcher is gone")

    def _measure(self) -> None:
        lags: list[float] = []
        told = time.perf_counter()
        while True:
            began = time.perf_counter()
            gevent.sleep(LAG_EVERY)
            now = time.perf_counter()
            lags.append(max(0.0, now - began - LAG_EVERY))
            if now - told >= BEAT_EVERY:
                self.bus.emit(HUB_LAG, lags=lags, longest=max(lags))
                lags, told = [], now


def crash(reason: str) -> None:
    """End this process now: log the reason, dump all stacks, and leave the work in hand to the next process."""
    log.critical("this process ends: %s", reason)
    faulthandler.cancel_dump_traceback_later()
    faulthandler.dump_traceback_later(2.0, exit=True, file=sys.__stderr__ or 2)  # in case a stuck output blocks us here
    faulthandler.dump_traceback(file=sys.__stderr__ or 2)
    logging.shutdown()
    os._exit(EXIT_ESCALATED)


def dump_on_signal() -> None:
    """Log what every greenlet does on SIGUSR1; call this once, in the main greenlet."""
    gevent.signal_handler(signal.SIGUSR1, dump)


def dump() -> None:
    """Log the stack of every greenlet and thread, without values, since those are mail and secrets."""
    living = [each for each in gc.get_objects() if isinstance(each, greenlet) and each.gr_frame is not None]
    stacks = [(getattr(each, "name", type(each).__name__), each.gr_frame) for each in living]
    stacks += [(f"thread {number}", frame) for number, frame in sys._current_frames().items()]  # noqa: SLF001  (its only name)
    detail = "\n".join(f"{name}\n{''.join(traceback.format_stack(frame))}" for name, frame in stacks)
    log.warning("what every greenlet does (%d of them)", len(living), extra={"detail": detail})
