"""A process with a watched hub, for tests: `hub.py BEHAVIOUR [FD]`: turn, freeze (in pure Python), crash, dump."""

import sys

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402  (after the patch)
import signal  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402

from engine import logs  # noqa: E402
from engine.events import Bus  # noqa: E402
from engine.hub import HubWatch, crash, dump_on_signal  # noqa: E402


def main(behaviour: str, heartbeat: int | None) -> int:
    logs.setup("INFO", "console", "test", descriptor=2)
    watch = HubWatch(Bus(), timeout=1.5, heartbeat=heartbeat)
    watch.start()
    gevent.sleep(0.05)
    match behaviour:
        case "freeze":
            end = time.perf_counter() + 10
            while time.perf_counter() < end:
                pass
        case "crash":
            crash("the test says so")
        case "dump":
            dump_on_signal()
            gevent.spawn(gevent.sleep, 5)
            gevent.sleep(0)
            os.kill(os.getpid(), signal.SIGUSR1)
            gevent.sleep(0.1)
        case "turn":
            gevent.sleep(2.5)
    watch.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else None))
