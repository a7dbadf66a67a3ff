"""Loads scripts/*.lua, one atomic operation per file, each with the preludes (log.lua, mailbox.lua) that it needs.

The Redis stores beside this module share `RedisStore`. Scripts run by EVALSHA; if the server does not know one (after a
restart, a failover or a flush), the call is repeated with the script's text, which is safe: it had not begun.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis
from redis.commands.core import Script

from engine.failpoints import reach
from storage.redis_client import connect, trouble
from storage.redis_keys import Keys
from storage.redis_lines import Lines

FOLDER = Path(__file__).parent / "scripts"
LOG, MAILBOX = "log", "mailbox"
PRELUDES = {
    "put": (MAILBOX,),
    "take": (MAILBOX,),
    "pending": (MAILBOX,),
    "settle": (LOG, MAILBOX),
    "feed": (LOG, MAILBOX),
    "release": (MAILBOX,),
    "consumers": (),
    "forget": (),
    "depths": (MAILBOX,),
    "tell": (LOG,),
    "read_log": (LOG,),
    "log_bounds": (LOG,),
    "forget_log": (LOG,),
    "beat": (),
    "alive": (),
    "lease": (),
    "give_up": (),
}


def text_of(name: str) -> str:
    """Return the complete text of a script, preludes first."""
    return "\n".join((FOLDER / f"{part}.lua").read_text() for part in (*PRELUDES[name], name))


class RedisStore:
    """The base of the Redis stores: two clients (one for blocking reads), the keys and the scripts."""

    BLOCK_PIECE = 2.0
    """Seconds that one blocking read waits at the server. Longer waits are split, to stay well within the time-out."""

    def __init__(self, url: str, *, namespace: str, connections: int = 64) -> None:
        self.keys = Keys(namespace)
        # Any: redis-py leaves execute_command without types.
        self._client: Any = connect(url, connections=connections)
        self._waiting: Any = connect(url, connections=2 * connections, patience=self.BLOCK_PIECE)
        self._scripts = {name: Script(self._client, text_of(name)) for name in PRELUDES}
        self._lines = _lines(self._client, connections)
        self._waiting_lines = _lines(self._waiting, 2 * connections)

    def close(self) -> None:
        """Close all connections. Call it when no greenlet is in a call; the store may be used again afterwards."""
        self._client.connection_pool.disconnect()
        self._waiting.connection_pool.disconnect()

    def _run(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        reach("before.", name)
        with trouble():
            answer = self._evaluate(self._scripts[name], keys, args)
        reach("after.", name)
        return answer

    def _evaluate(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        if self._lines is None:
            return script(keys, args)
        try:
            return self._lines.call(("EVALSHA", script.sha, len(keys), *keys, *args))
        except redis.exceptions.NoScriptError:
            return self._lines.call(("EVAL", script.script, len(keys), *keys, *args))

    def _call(self, *command: Any) -> Any:
        with trouble():
            return _said(self._client, self._lines, command)

    def _wait(self, *command: Any) -> Any:
        """Run a blocking read. If the stream or group is lost meanwhile, return None; the next script recreates it."""
        with trouble():
            try:
                return _said(self._waiting, self._waiting_lines, command)
            except redis.ResponseError as error:
                if str(error).startswith(("NOGROUP", "UNBLOCKED")):
                    return None
                raise


def _lines(client: Any, connections: int) -> Lines | None:
    """Return the fast path for a client, or None for a Sentinel's, whose pool must manage its connections itself."""
    pool = client.connection_pool
    return Lines(pool, connections) if type(pool) is redis.BlockingConnectionPool else None


def _said(client: Any, lines: Lines | None, command: tuple[Any, ...]) -> Any:
    """Return the reply to a command in the shape that redis-py gives it."""
    if lines is None:
        return client.execute_command(*command)
    reply = lines.call(command)
    shaped = client.response_callbacks.get(command[0])
    return shaped(reply) if shaped else reply
