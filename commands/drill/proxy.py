"""A TCP proxy that injects faults: `python -m commands.drill.proxy UPSTREAM`, controlled by lines on its input.

It runs as a process of its own, so that it does not disturb its user; it prints its port, and ends when its input ends.
`Proxy` starts and controls one. Commands: `go`, `hold` (black hole: accepts, moves nothing), `cut` (reset all),
`lose N` (reset instead of the next N replies, whose requests have arrived), `delay MS`.
"""

import asyncio
import contextlib
import socket
import struct
import subprocess
import sys
from urllib.parse import unquote, urlsplit, urlunsplit

from commands.venv import ROOT

CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)  # no lingering: close() sends a reset


class Proxy:
    """A proxy in front of `url`; the attribute `url` leads through it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        upstream = unquote(parts.path) if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"
        self._process = subprocess.Popen(  # noqa: S603  (our own module)
            [sys.executable, "-m", "commands.drill.proxy", upstream],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        credentials = parts.netloc.rpartition("@")[0]
        host = f"{credentials}@127.0.0.1:{self.port}" if credentials else f"127.0.0.1:{self.port}"
        path = "/0" if parts.scheme == "unix" else parts.path
        self.url = urlunsplit(("redis" if parts.scheme == "unix" else parts.scheme, host, path, parts.query, ""))

    def tell(self, line: str) -> None:
        """Send a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """End the proxy and its connections."""
        with contextlib.suppress(OSError):
            self._process.communicate(timeout=5)


class _Relay:
    """What the proxy process runs."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.writers: set[asyncio.StreamWriter] = set()
        self.open = asyncio.Event()
        self.open.set()
        self.losses, self.delay = 0, 0.0

    async def serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        commands = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(commands)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        while line := (await commands.readline()).decode().split():
            self._obey(line[0], float(line[1]) if line[1:] else 0.0)
        self._cut()

    def _obey(self, word: str, number: float) -> None:
        if word == "hold":
            self.open.clear()
        elif word == "cut":
            self._cut()
        elif word == "lose":
            self.losses = int(number)
        elif word == "delay":
            self.delay = number / 1000
        else:
            self.losses, self.delay = 0, 0.0
            self.open.set()

    def _cut(self) -> None:
        for writer in list(self.writers):
            _reset(writer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await self._connect()
        except OSError:
            _reset(writer)
            return
        both = {writer, there[1]}
        self.writers |= both
        try:
            await asyncio.gather(self._pipe(reader, there[1], both), self._pipe(there[0], writer, both, replies=True))
        except OSError:
            pass
        finally:
            self.writers -= both
            for each in both:
                each.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.upstream.startswith("/"):
            return await asyncio.open_unix_connection(self.upstream)
        host, _, port = self.upstream.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _pipe(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        both: set[asyncio.StreamWriter],
        *,
        replies: bool = False,
    ) -> None:
        while data := await reader.read(CHUNK):
            if self.delay:
                await asyncio.sleep(self.delay)
            await self.open.wait()
            if replies and self.losses > 0:
                self.losses -= 1
                for each in both:
                    _reset(each)
                return
            writer.write(data)
            await writer.drain()
        for each in both:
            each.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


if __name__ == "__main__":
    asyncio.run(_Relay(sys.argv[1]).serve())
