"""The hub's watch: how late the hub turns, a heartbeat for the launcher, and an honest end when it does not turn at all.

Started first thing in each process. A frozen hub cannot look after itself, so faulthandler's own C thread does: it is set anew
from the hub every second, and when that stays away it dumps all stacks and ends the process (a Python thread could not even
run while a C call holds the GIL). SIGUSR1 tells what every greenlet does.
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
    """`timeout`: seconds after which a hub that does not turn ends the process. `heartbeat`: the launcher's pipe, if there is one."""

    def __init__(self, bus: Bus, *, timeout: float = 10.0, heartbeat: int | None = None) -> None:
        self.bus, self.timeout, self.heartbeat = bus, timeout, heartbeat
        self._greenlets: list[gevent.Greenlet[..., Any]] = []

    def start(self) -> None:
        """Begin to watch."""
        self._greenlets = [gevent.spawn(self._beat), gevent.spawn(self._measure)]

    def stop(self) -> None:
        """No longer; the process may end as slowly as it likes."""
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
            return  # it has not read for hours: it is stopped, and need not know more
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
    """End this process now, honestly: say why, dump all stacks, and leave what is in hand to the next one."""
    log.critical("this process ends: %s", reason)
    faulthandler.cancel_dump_traceback_later()
    faulthandler.dump_traceback_later(2.0, exit=True, file=sys.__stderr__ or 2)  # should a stuck output hold us up here
    faulthandler.dump_traceback(file=sys.__stderr__ or 2)
    logging.shutdown()
    os._exit(EXIT_ESCALATED)


def dump_on_signal() -> None:
    """On SIGUSR1, log what every greenlet does; call it once, in the main greenlet."""
    gevent.signal_handler(signal.SIGUSR1, dump)


def dump() -> None:
    """Log the stack of every greenlet and thread; no values, since those are mail and secrets."""
    living = [each for each in gc.get_objects() if isinstance(each, greenlet) and each.gr_frame is not None]
    stacks = [(getattr(each, "name", type(each).__name__), each.gr_frame) for each in living]
    stacks += [(f"thread {number}", frame) for number, frame in sys._current_frames().items()]  # noqa: SLF001  (its only name)
    detail = "\n".join(f"{name}\n{''.join(traceback.format_stack(frame))}" for name, frame in stacks)
    log.warning("what every greenlet does (%d of them)", len(living), extra={"detail": detail})
