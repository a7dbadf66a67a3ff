"""`run.py serve` refuses at the start what would fail later."""

import argparse
import os
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import psycopg
import pytest
import requests

from commands import serve
from engine.errors import SettingsError
from engine.listening import free_port
from engine.locking import locked
from settings import Settings
from tests.commands.test_run import ROOT, call
from tests.servers import Program, wait_until


def test_a_port_that_is_in_use_is_one_line_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = call("serve", PORT=str(port), DATA_DIR=str(tmp_path / "data"))
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr == f"run.py: HOST, PORT: cannot listen on 127.0.0.1:{port}: address already in use\n"
    assert not (tmp_path / "data" / "emails.db").exists()


@pytest.mark.parametrize("place", ["none/emails.db", "."])
def test_a_database_that_cannot_be_there_is_one_line_before_anything_is_started(tmp_path: Path, place: str) -> None:
    url, data = f"sqlite:///{tmp_path / place}", str(tmp_path / "data")
    done = call("serve", PORT="0", DATA_DIR=data, DATABASE_URL=url, PROCESSOR_PROCESSES="2")
    wrong = f"the folder {tmp_path / 'none'} does not exist" if place != "." else f"{tmp_path} is a folder, not a file"
    assert (done.returncode, done.stdout, done.stderr) == (78, "", f"run.py: DATABASE_URL: {wrong}\n")


def test_the_simulator_alone_says_the_same_of_its_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = call("simulator", "--port", str(port), DATA_DIR=str(tmp_path))
    assert done.returncode == 75
    assert (
        done.stderr.splitlines()[-1] == f"run.py: HOST, PORT: cannot listen on 127.0.0.1:{port}: address already in use"
    )


def test_the_account_of_a_simulator_belongs_to_one_process(tmp_path: Path) -> None:
    with locked(tmp_path / "simulator-alone" / "lock", 0.0):
        done = call("simulator", "--port", "0", DATA_DIR=str(tmp_path))
    assert done.returncode == 75
    assert (
        done.stderr
        == f"run.py: DATA_DIR {tmp_path}/simulator-alone is in use by process {os.getpid()}: stop that one first\n"
    )


STRANGE_CODE = "print('strange code'); raise SystemExit(1)"
BEYOND = ["--host", "203.0.113.1"]  # refused as soon as the simulator's own code runs


@pytest.mark.parametrize(
    ("command", "environ"),
    [
        (serve._child("front", "front").argv, {**serve._child("front", "front").env, "PORT": "http"}),
        ([sys.executable, str(ROOT / "run.py"), "simulator", *BEYOND], {}),
    ],
)
def test_code_in_the_folder_where_it_is_started_is_not_run(
    tmp_path: Path, command: list[str], environ: dict[str, str]
) -> None:
    """That folder may be anybody's, such as /tmp or one for downloads."""
    for name in ("gevent", "logging", "engine"):
        (tmp_path / f"{name}.py").write_text(STRANGE_CODE)
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=30, check=False)
    assert "strange code" not in done.stdout
    assert done.returncode == 78
    assert done.stderr.startswith("run.py: ")


@pytest.mark.parametrize("host", ["127.0.0.1.invalid", "x" * 64, "a..b"])
@pytest.mark.parametrize("port", ["0", "8005"])
def test_a_host_that_there_is_not_is_one_line(tmp_path: Path, host: str, port: str) -> None:
    done = call("serve", HOST=host, PORT=port, DATA_DIR=str(tmp_path), ALLOW_ANONYMOUS="true")
    assert done.returncode == 78
    assert done.stderr.startswith(f"run.py: HOST, PORT: cannot listen on {host}:{port}: ")
    assert len(done.stderr.splitlines()) == 1


STORES = {"REDIS_URL": "redis://127.0.0.1:1/0", "DATABASE_URL": "postgresql://127.0.0.1:1/x"}


def looked_at(monkeypatch: pytest.MonkeyPatch, **settings: str) -> int:
    """Run only the checks that a worker's launcher makes before it starts anything; return the command's result."""
    monkeypatch.setattr(serve, "Launcher", lambda _children, *, check, **_: Mock(run=lambda: check() or 0))
    monkeypatch.setattr(serve, "_sign", lambda *_: nullcontext())
    monkeypatch.setattr("engine.logs.setup", Mock())
    return serve.worker(argparse.Namespace(), Settings.from_env({**STORES, **settings, "ALLOW_ANONYMOUS": "true"}))


def test_a_worker_that_listens_nowhere_does_not_look_at_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked_at(monkeypatch, HOST="host-of-the-front.invalid") == 0


def test_a_worker_whose_status_port_is_in_use_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"^HOST, STATUS_PORT: cannot listen on 127.0.0.1:{port}: address "):
            looked_at(monkeypatch, STATUS_PORT=str(port))


@pytest.mark.postgres
@pytest.mark.usefixtures("redis_client")
def test_a_worker_node_answers_on_its_status_port(valkey_url: str, postgres: Program):
    name = f"t{time.monotonic_ns()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = postgres.url.replace("/postgres?", f"/{name}?")
    port = free_port()
    settings = {"STATUS_PORT": str(port), "REDIS_URL": valkey_url, "DATABASE_URL": url, "PROCESSOR_PROCESSES": "1"}
    environ = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    process = subprocess.Popen(
        [sys.executable, "run.py", "worker"], cwd=ROOT, env={**environ, **settings}, stderr=subprocess.DEVNULL
    )

    def answers(path: str) -> "requests.Response | None":
        try:
            return requests.get(f"http://127.0.0.1:{port}{path}", timeout=10)
        except requests.ConnectionError:
            return None

    try:
        wait_until(lambda: (reply := answers("/health/ready")) is not None and reply.status_code == 200, "ready", 60)
        for path, word in (("/health", "healthy"), ("/health/live", "alive"), ("/metrics", "emailproc_")):
            reply = answers(path)
            assert reply is not None
            assert (reply.status_code, word in reply.text) == (200, True)
    finally:
        process.terminate()
        assert process.wait(30) == 0
