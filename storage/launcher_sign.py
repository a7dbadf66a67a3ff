"""The sign of life of a node's launcher, which restarts crashed processes and marks their messages as long as it lives.

commands/serve.py runs it in a thread of the launcher, which has no gevent; the janitors read it
(`RedisPresence.launchers`). When the launcher and all processes of a node are silent, none will return, so the node's
messages can be released at once.
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
"""How long it is remembered that this node's launcher sends signs of life: those of older programs do not."""

LAST_S = 0.5
"""How long a stopping launcher waits for its sign to be deleted. If Redis hangs, the processes have already used most
of the ten seconds that a node has to stop, and the sign expires by itself."""

SAY = """
for i, key in ipairs(KEYS) do
  redis.call('DEL', key) -- so that a full server does not refuse the next line (scripts/beat.lua)
  redis.call('SET', key, 1, 'PX', ARGV[i])
end
"""

log = logging.getLogger(__name__)


class LauncherSign:
    """While entered, sends signs of life for `node`'s launcher. If Redis is away, retries silently: others log it."""

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
