"""Two versions of the program on one Redis and PostgreSQL under load, both ways: no mail is lost or done twice."""

import signal
import time
from functools import partial

import psycopg
import pytest

from commands.drill.system import until
from commands.venv import ROOT
from commands.version import VERSION
from storage.migrations import STEPS
from tests.chaos.nodes import Worker, end, load, serve, shared_stores
from tests.chaos.rig import rig
from tests.chaos.versions import NEWER, NEWER_SCHEMA, newer

pytestmark = pytest.mark.postgres

REFUSED = 78


@pytest.fixture
def stores(short_tmp, postgres):
    with shared_stores(short_tmp / f"upgrade-{time.monotonic_ns() % 10**6}", postgres) as settings:
        yield settings


@pytest.fixture
def bench(short_tmp, stores):
    with rig(short_tmp / f"up-{time.monotonic_ns() % 10**6}", **stores) as made:
        yield made


def schema(stores):
    with psycopg.connect(stores["DATABASE_URL"]) as connection:
        facts: dict[str, str] = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    return int(facts["schema_version"]), int(facts["schema_oldest"])


def has_newer_tables(stores):
    """Return whether the newer version's schema step was applied."""
    with psycopg.connect(stores["DATABASE_URL"]) as connection:
        return connection.execute("SELECT to_regclass('tints') IS NOT NULL").fetchall() == [(True,)]


def version_of(node):
    return (node.get("/health") or {}).get("version")


def replaced(node, root):
    """Stop a node, and restart it as another version."""
    assert node.stop(30) == 0
    node.root = root
    node.start()
    if node.command[0] == "serve":
        node.ready()


def goes_on(bench):
    """Check that mail arriving now is processed."""
    before = bench.ended()
    until("further results", lambda: bench.ended() > before + 60, 60)


def test_nodes_are_upgraded_one_by_one_under_load_and_put_back(bench, stores, short_tmp):
    tomorrow = newer(short_tmp / f"newer-{time.monotonic_ns() % 10**6}")
    first, second = bench.system, serve(bench, short_tmp / f"second-{time.monotonic_ns() % 10**6}", stores)
    worker = Worker(short_tmp / f"worker-{time.monotonic_ns() % 10**6}", stores)
    try:
        bench.start()
        second.start()
        worker.start()
        second.ready()
        with load(bench, batch=20):
            goes_on(bench)
            replaced(second, tomorrow)
            assert (version_of(first), version_of(second)) == (VERSION, NEWER)
            assert schema(stores)[0] == NEWER_SCHEMA
            assert has_newer_tables(stores)
            goes_on(bench)

            (killed,) = first.signal_roles(signal.SIGKILL, "worker")
            until("an older process on the newer schema", partial(another_worker, first, killed), 60)
            replaced(worker, ROOT)
            goes_on(bench)

            replaced(first, tomorrow)
            replaced(worker, tomorrow)
            goes_on(bench)

            for node in (second, first, worker):
                replaced(node, ROOT)
            assert (version_of(first), version_of(second)) == (VERSION, VERSION)
            assert schema(stores)[0] == NEWER_SCHEMA
            goes_on(bench)

            replaced(first, tomorrow)
            goes_on(bench)
        bench.settled(120)
        bench.balance()
        assert bench.evidence.rows("SELECT COUNT(*) FROM attempt")[0][0] == 0
        assert worker.ended() is None
    finally:
        end(second, worker)


def another_worker(node, killed):
    found = node.of_role("worker")
    return found and killed not in found and node.ended() is None


def test_a_schema_that_needs_newer_programs_is_refused_in_one_line(bench, stores, short_tmp):
    stamp = time.monotonic_ns() % 10**6
    tomorrow = newer(short_tmp / f"breaking-{stamp}", oldest=NEWER_SCHEMA)
    bench.start()
    bench.send(40)
    bench.settled()
    assert bench.system.stop(30) == 0
    assert schema(stores)[0] == len(STEPS)
    bench.system.root = tomorrow
    bench.start()
    assert bench.system.stop(30) == 0
    assert schema(stores) == (NEWER_SCHEMA, NEWER_SCHEMA)

    bench.system.root = ROOT
    bench.system.start()
    until("its refusal", lambda: bench.system.ended() is not None, 120)
    assert bench.system.ended() == REFUSED
    log = (bench.system.folder / "serve.log").read_text()
    (line,) = {each for each in log.splitlines() if each.startswith("run.py: ")}
    assert f"schema {NEWER_SCHEMA}" in line
    assert "Traceback" not in log
