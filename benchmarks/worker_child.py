"""A worker process of (j): `python -m benchmarks.worker_child FOLDER REDIS_URL NAME`.

It reports when it is ready and starts on a line of input. Its last line says when the mailbox was empty, by a clock that
all processes share, because the time that its actors take to stop is no part of the work. With `filler:N` as NAME it
fills the mailbox with N emails instead.
"""

# ruff: noqa: E402  (gevent patches before anything else is imported)

from gevent import monkey

monkey.patch_all()

import sys

from benchmarks.frozen import Frozen
from benchmarks.rig import say
from benchmarks.stage import Stage
from engine.collector import spare_collector


def main(path: str, url: str, name: str) -> None:
    """Fill the mailbox, or work until it is empty."""
    stage = Stage(path, url, name.partition(":")[0])
    if name.startswith("filler:"):
        stage.fill(int(name.partition(":")[2]))
        say({"filled": True})
        return
    spare_collector()
    print("ready", flush=True)
    sys.stdin.readline()
    stage.work(Frozen(), None)
    say({"done": stage.done, "ended": stage.ended})


if __name__ == "__main__":
    main(*sys.argv[1:4])
