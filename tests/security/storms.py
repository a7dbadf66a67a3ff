"""Storms against a real system on this machine: slow sockets, stuck WebSocket readers, a webhook flood, idle connects.

`python -m tests.security.storms [NAME...]` runs them in full and prints a table; test_storms.py runs small ones in CI.
Each measures well-behaved traffic from another process (probe.py) before and during the storm, the front's memory, and
how long the bad connections stayed open.
"""

# ruff: noqa: E402  (gevent patches before anything else is imported)

from gevent import monkey

monkey.patch_all()

import base64
import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import psutil
from gevent import socket as gsocket

from tests.flow.system import ROOT, System, mails

TOKEN = "storm-token"
SETTINGS = {"API_TOKEN": TOKEN, "TRUSTED_PROXIES": "127.0.0.1"}
AUTH = f"Authorization: Bearer {TOKEN}\r\n"
RESET = struct.pack("ii", 1, 0)
LATER_S = 20.0
CONNECTS_A_SECOND = 2000.0

Storm = Callable[["Stage", "Outcome"], None]


@dataclass
class Outcome:
    """The outcome of one storm. Latencies are in milliseconds, memory in MiB, times in seconds."""

    name: str
    before: dict[str, Any] = field(default_factory=dict)
    during: dict[str, Any] = field(default_factory=dict)
    grown_mib: float = 0.0
    closed_s: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)

    def row(self) -> str:
        """Return a row of the table."""
        figures = f"p99 {self.before['p99']} -> {self.during['p99']} ms, failed {self.during['failed'] or 0}"
        return f"{self.name:<16} {figures}, +{self.grown_mib:.1f} MiB, all closed after {self.closed_s:.1f} s, {json.dumps(self.notes)}"


class Stage:
    """A running system under attack."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.address = ("127.0.0.1", int(system.url.rsplit(":", 1)[1]))
        assert system.process is not None
        processes = psutil.Process(system.process.pid).children(recursive=True)
        self.front = next(
            each
            for each in processes
            if "commands.process" in each.cmdline() and each.cmdline()[-1] in ("front", "all")
        )

    def rss_mib(self) -> float:
        return float(self.front.memory_info().rss) / 2**20

    def probe(self, seconds: float, rate: float) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.security.probe", self.system.url, TOKEN, str(seconds), str(rate)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)

    def connect(self, *, source: str = "127.0.0.1", receive_buffer: int = 0) -> gsocket.socket:
        sock = gsocket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.bind((source, 0))
        sock.settimeout(15)
        sock.connect(self.address)
        return sock

    def measure(
        self, name: str, storm: Storm, seconds: float, rate: float = 50.0, *, calm: Storm | None = None
    ) -> Outcome:
        """Probe without the storm (but with `calm`, its harmless part), then probe while `storm` runs."""
        outcome = Outcome(name)
        probe = self.probe(seconds, rate)
        if calm is not None:
            gevent.sleep(1.0)
            calm(self, Outcome(name))
        outcome.before = finished(probe)
        memory = self.rss_mib()
        probe = self.probe(seconds, rate)
        gevent.sleep(1.0)
        storm(self, outcome)
        outcome.during = finished(probe)
        gevent.sleep(2.0)
        outcome.grown_mib = self.rss_mib() - memory
        return outcome


def finished(probe: "subprocess.Popen[bytes]") -> dict[str, Any]:
    out, _ = probe.communicate()
    return dict(json.loads(out))


def until_closed(stage: Stage, sockets: list[gsocket.socket], began: float) -> float:
    """Wait until server and kernel hold none of these connections, up to LATER_S; return the seconds since `began`.

    This looks at the server's side: a client whose window is shut ignores even a reset.
    """
    theirs = {sock.getsockname()[:2] for sock in sockets}
    while held(stage.address[1]) & theirs and time.monotonic() - began < LATER_S:
        gevent.sleep(0.2)
    return time.monotonic() - began


def held(port: int) -> set[tuple[str, int]]:
    """Return a port's clients with an open connection or unsent data (ESTABLISHED, FIN-WAIT-1, CLOSE-WAIT)."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if int(local.rpartition(":")[2], 16) == port and state in {"01", "04", "08"}:
            address, _, number = remote.partition(":")
            found.add((socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(number, 16)))
    return found


# -- the storms


def slow_sockets(count: int) -> Storm:
    """A third sends its head byte by byte, a third its body, and a third requests much without reading."""

    def run(stage: Stage, outcome: Outcome) -> None:
        began = time.monotonic()
        heads = [stage.connect() for _ in range(count // 3)]
        bodies = [stage.connect() for _ in range(count // 3)]
        readers = [stage.connect(receive_buffer=2048) for _ in range(count - 2 * (count // 3))]
        for sock in bodies:
            sock.sendall(
                f"POST /classify HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n".encode()
            )
        for sock in readers:
            sock.sendall(f"GET /openapi.json HTTP/1.1\r\nHost: x\r\n{AUTH}\r\n".encode() * 4)
            gevent.sleep(0.02)  # the storm is about their slowness, not about connecting at once
        trickles = [gevent.spawn(trickle, sock, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100) for sock in heads]
        trickles += [gevent.spawn(trickle, sock, b"{" * 100) for sock in bodies]
        outcome.closed_s = until_closed(stage, [*heads, *bodies, *readers], began)
        gevent.killall(trickles)
        outcome.notes["sockets"] = count
        close(*heads, *bodies, *readers)

    return run


def trickle(sock: gsocket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        for number in range(len(data)):
            sock.send(data[number : number + 1])
            gevent.sleep(0.5)


def stuck_readers(count: int, emails: int) -> Storm:
    """WebSockets that never read while events flow, beside one that reads and must miss nothing."""

    def run(stage: Stage, outcome: Outcome) -> None:
        good = handshake(stage)
        stuck = [handshake(stage, receive_buffer=2048) for _ in range(count)]
        began = time.monotonic()
        seen = Counter[str]()
        reader = gevent.spawn(listen, good, seen)
        for batch in range(10):
            post(
                stage,
                "/simulator/send_batch",
                {"emails": big(mails(emails // 10, f"ws-{time.monotonic_ns()}-{batch}"))},
            )
            gevent.sleep(0.2)
        outcome.closed_s = until_closed(stage, stuck, began)
        deadline = time.monotonic() + 30
        while seen["process"] < emails and time.monotonic() < deadline:
            gevent.sleep(0.1)
        reader.kill()
        outcome.notes.update(
            readers=count, events_to_the_good_one=seen["process"], of=emails, lost_by_it=seen["dropped"]
        )
        close(good, *stuck)

    return run


def big(emails: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the emails with subjects long enough to fill buffers."""
    return [{**each, "subject": each["subject"] + " " + "s" * 800} for each in emails]


def handshake(stage: Stage, receive_buffer: int = 0) -> gsocket.socket:
    sock = stage.connect(receive_buffer=receive_buffer)
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    sock.sendall(f"GET /ws/emails/storm HTTP/1.1\r\nHost: x\r\n{AUTH}{upgrade}\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1)
    assert b" 101 " in answer, answer
    return sock


def listen(sock: gsocket.socket, seen: Counter[str]) -> None:
    """Read frames and count their events."""
    sock.settimeout(None)
    stream = sock.makefile("rb")
    while len(head := stream.read(2)) == 2:
        size = head[1]
        if size >= 126:
            size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
        payload = stream.read(size)
        if head[0] & 0xF == 9:
            sock.sendall(b"\x8a\x80\0\0\0\0")
        elif head[0] & 0xF == 1:
            message = json.loads(payload)
            seen[message.get("event") or message["type"]] += (
                message.get("count", 1) if message["type"] == "dropped" else 1
            )


def webhook_storm(rate: float, seconds: float) -> Storm:
    """`rate` webhooks per second from one address, over 32 kept connections."""

    def run(stage: Stage, outcome: Outcome) -> None:
        statuses = Counter[str]()
        began = time.monotonic()
        workers = [gevent.spawn(flood, stage, statuses, rate / 32, seconds, part) for part in range(32)]
        gevent.joinall(workers)
        took = time.monotonic() - began
        outcome.notes.update(asked_a_second=rate, sent_a_second=round(sum(statuses.values()) / took), **statuses)

    return run


def flood(stage: Stage, statuses: Counter[str], rate: float, seconds: float, part: int) -> None:
    gevent.sleep(part / 32 / rate)  # spread over time
    sock = stage.connect()
    stream = sock.makefile("rb")
    began, number = time.monotonic(), 0
    while (now := time.monotonic()) - began < seconds:
        body = b'{"history_id":%d}' % number
        head = f"POST /webhook HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9\r\nwebhook-id: s{part}-{number}\r\nContent-Length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        status, length = stream.readline().split()[1].decode(), 0
        while (line := stream.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        stream.read(length)
        statuses[status] += 1
        number += 1
        gevent.sleep(max(0.0, began + number / rate - now))
    close(sock)


def idle_connects(count: int, together: int) -> Storm:
    """`count` silent connections, `together` of them open at a time, from many loopback addresses."""

    def run(stage: Stage, outcome: Outcome) -> None:
        began = time.monotonic()
        open_ones: list[gsocket.socket] = []
        failed = 0
        for number in range(count):
            try:
                open_ones.append(stage.connect(source=f"127.{number % 100 + 1}.{number // 100 % 100}.9"))
            except OSError:
                failed += 1
            if len(open_ones) > together:
                close(open_ones.pop(0))
            gevent.sleep(max(0.0, began + number / CONNECTS_A_SECOND - time.monotonic()))
        outcome.notes.update(connects=count, a_second=round(count / (time.monotonic() - began)), not_connected=failed)
        outcome.closed_s = until_closed(stage, open_ones, time.monotonic())
        close(*open_ones)

    return run


def close(*sockets: gsocket.socket) -> None:
    for sock in sockets:
        sock.close()


def post(stage: Stage, path: str, body: Any) -> None:
    answer = stage.system.request("POST", path, json=body, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.ok, answer.text


STORMS: dict[str, tuple[Storm, float, Storm | None]] = {
    "slow sockets": (slow_sockets(300), 20.0, None),
    "stuck readers": (stuck_readers(500, 3000), 25.0, stuck_readers(0, 3000)),
    "webhook storm": (webhook_storm(1000.0, 25.0), 28.0, None),
    "idle connects": (idle_connects(100_000, 3000), 60.0, None),
}
"""Name → the storm, the seconds of measured traffic, harmless variant. Webhooks: 20 times the probe's 50 a second."""


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """Run a fresh system."""
    with tempfile.TemporaryDirectory(prefix="ep-storm-") as folder:
        system = System(Path(folder) / "data", dict(SETTINGS))
        try:
            yield Stage(system.start())
        finally:
            system.stop()


def main(names: list[str]) -> int:
    """Run storms; return 1 if a figure exceeds its limit."""
    bad = 0
    for name in names or list(STORMS):
        storm, seconds, calm = STORMS[name]
        with stage() as here:
            outcome = here.measure(name, storm, seconds, calm=calm)
        over = outcome.during["p99"] > max(2 * outcome.before["p99"], outcome.before["p99"] + 10)
        over = over or outcome.grown_mib > 64 or outcome.closed_s > 15 or bool(outcome.during["failed"])
        bad += over
        sys.stdout.write(f"{'OVER ' if over else 'ok   '}{outcome.row()}\n")
        sys.stdout.flush()
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
