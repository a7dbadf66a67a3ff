"""Writes log lines to a file descriptor from one native thread, so that nobody who logs ever waits for the reader of our output.

Used by engine/logs.py alone. The queue and the thread are the interpreter's own, also where gevent has patched: a greenlet's
queue would block the hub, a native one never does on `put`.
"""

import importlib
import os
import sys
from typing import Any

MORE_AT_ONCE = 200


def native(module: str, name: str) -> Any:
    """The interpreter's own `module.name`, whether gevent has patched it or not; without importing gevent."""
    monkey = sys.modules.get("gevent.monkey")
    return getattr(importlib.import_module(module), name) if monkey is None else monkey.get_original(module, name)


class LogWriter:
    """`put` drops a line when `limit` lines wait; `dropped` counts them."""

    def __init__(self, descriptor: int, *, limit: int) -> None:
        self.descriptor, self.limit = descriptor, limit
        self.dropped = 0
        self._told = 0
        self._lines = native("queue", "SimpleQueue")()
        self._sleep = native("time", "sleep")
        self._queued = self._written = 0
        native("_thread", "start_new_thread")(self._run, ())

    def put(self, line: bytes) -> None:
        """Write it soon. Never waits."""
        if self._lines.qsize() >= self.limit:
            self.dropped += 1
        else:
            self._queued += 1
            self._lines.put(line)

    def flush(self, timeout: float) -> None:
        """Wait for what was put, `timeout` seconds at most. Holds up the whole process: for its end only."""
        for _ in range(int(timeout / 0.005)):
            if self._written == self._queued:
                return
            self._sleep(0.005)

    def _run(self) -> None:
        while True:
            lines = [self._lines.get()]
            lines += [self._lines.get() for _ in range(min(self._lines.qsize(), MORE_AT_ONCE))]
            self._write(b"".join(lines) + self._dropped_note())
            self._written += len(lines)

    def _dropped_note(self) -> bytes:
        dropped, self._told = self.dropped - self._told, self.dropped
        return b"... %d log lines were dropped: nobody read them in time\n" % dropped if dropped else b""

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self.descriptor, data) :]
        except OSError:  # nobody there, or no space: what could we say, and where?
            return
