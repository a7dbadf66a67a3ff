"""The sign of life of a node's launcher, beside those of its processes: as long as it lives, it starts again what falls, and blames.

Kept by commands/serve.py in a thread of the launcher, which has no gevent; read by the janitors (`RedisPresence.launchers`). When it and
all processes of a node are silent, nobody will come back there, and what the node held can be given back at once.
"""

import logging
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any

import redis

from storage.redis_client import connect
from storage.redis_keys import launcher_keys

EVERY_S = 1.0
TTL_MS = 5_000
KNOWN_MS = 7 * 86_400_000
"""For so long it is known that this node's launcher is one that gives signs: older programs' do not."""

LAST_S = 0.5
"""So long who ends waits until its sign is taken back: a Redis that hangs has cost its processes most of the ten seconds that a node has to end,
and the sign ends by itself."""

SAY = """
for i, key in ipairs(KEYS) do
  redis.call('DEL', key) -- so that a full server does not refuse the next line (scripts/beat.lua)
  redis.call('SET', key, 1, 'PX', ARGV[i])
end
"""

log = logging.getLogger(__name__)


class LauncherSign:
    """While entered, the launcher of `node` is heard of. A Redis that is away is tried again in silence: the processes complain."""

    def __init__(self, url: str, node: str, *, every: float = EVERY_S) -> None:
        self._url, self._node, self._every = url, node, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sign of life", daemon=True)

    def __enter__(self) -> "LauncherSign":
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(LAST_S)

    def _run(self) -> None:
        client: Any = connect(self._url, connections=1)
        alive, known = launcher_keys(self._node)
        with suppress(redis.RedisError, OSError):
            client.eval(SAY, 1, known, KNOWN_MS)
        while not self._stop.wait(self._every):
            try:
                client.eval(SAY, 2, alive, known, TTL_MS, KNOWN_MS)
            except (redis.RedisError, OSError) as error:
                log.debug("no sign of life: %s", error)
        with suppress(redis.RedisError, OSError):
            client.delete(alive)
        client.close()
