"""Loads scripts/*.lua: one atomic move a file, with the preludes (scripts/log.lua, scripts/mailbox.lua) that it needs.

Called by the Redis stores beside it, which share `RedisStore`. Relies on EVALSHA; a server that does not know a script
(restarted, failed over, flushed) is taught it and the call repeated: it had not begun.
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
    """The whole text of a script, preludes first."""
    return "\n".join((FOLDER / f"{part}.lua").read_text() for part in (*PRELUDES[name], name))


class RedisStore:
    """What the Redis stores share: two clients (one may wait), the keys, the scripts."""

    BLOCK_PIECE = 2.0
    """Seconds that one blocking read waits at the server; longer waits are made of pieces, each well inside the time-out."""

    def __init__(self, url: str, *, namespace: str, connections: int = 64) -> None:
        self.keys = Keys(namespace)
        # Any: redis-py leaves execute_command without types.
        self._client: Any = connect(url, connections=connections)
        self._waiting: Any = connect(url, connections=2 * connections, patience=self.BLOCK_PIECE)
        self._scripts = {name: Script(self._client, text_of(name)) for name in PRELUDES}
        self._lines = _lines(self._client, connections)
        self._waiting_lines = _lines(self._waiting, 2 * connections)

    def close(self) -> None:
        """Close all connections, when no greenlet is in a call any more; the store may be used again."""
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
        """A blocking read; what was lost meanwhile (the stream, the group) reads as nothing: the next script sees to it."""
        with trouble():
            try:
                return _said(self._waiting, self._waiting_lines, command)
            except redis.ResponseError as error:
                if str(error).startswith(("NOGROUP", "UNBLOCKED")):
                    return None
                raise


def _lines(client: Any, connections: int) -> Lines | None:
    """The quick way past a client; None for a Sentinel's, whose pool looks after its connections itself."""
    pool = client.connection_pool
    return Lines(pool, connections) if type(pool) is redis.BlockingConnectionPool else None


def _said(client: Any, lines: Lines | None, command: tuple[Any, ...]) -> Any:
    """The reply to a command in the shape that redis-py gives it."""
    if lines is None:
        return client.execute_command(*command)
    reply = lines.call(command)
    shaped = client.response_callbacks.get(command[0])
    return shaped(reply) if shaped else reply
