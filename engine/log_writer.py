"""Writes log lines to a file descriptor from one native thread, so that logging never waits for the reader.

Used only by engine/logs.py. The queue and the thread are the interpreter's own, even if gevent has patched them: a
greenlet's queue would block the hub, while `put` on a native one never does.
"""

import importlib
import os
import sys
from typing import Any

MORE_AT_ONCE = 200


def native(module: str, name: str) -> Any:
    """Return the interpreter's own `module.name`, whether or not gevent has patched it, without importing gevent."""
    monkey = sys.modules.get("gevent.monkey")
    return getattr(importlib.import_module(module), name) if monkey is None else monkey.get_original(module, name)


class LogWriter:
    """Writes lines in the background. `put` drops a line while `limit` lines wait; `dropped` counts those."""

    def __init__(self, descriptor: int, *, limit: int) -> None:
        self.descriptor, self.limit = descriptor, limit
        self.dropped = 0
        self._told = 0
        self._lines = native("queue", "SimpleQueue")()
        self._sleep = native("time", "sleep")
        self._queued = self._written = 0
        native("_thread", "start_new_thread")(self._run, ())

    def put(self, line: bytes) -> None:
        """Queue a line to be written. Never waits."""
        if self._lines.qsize() >= self.limit:
            self.dropped += 1
        else:
            self._queued += 1
            self._lines.put(line)

    def flush(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the queued lines. Blocks the whole process: only for its end."""
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
        except OSError:  # no reader, or no space left: there is nowhere to report it
            return
