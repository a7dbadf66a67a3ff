"""The four scripts from outside: every failure is one line and an exit code."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from commands.venv import ROOT
from tests.commands.http_server import SmallServer

HISTORY = {"history_id": 1}


@pytest.fixture
def server(small_server: SmallServer) -> SmallServer:
    """A server that `initialize_fakemail.py` can prepare."""
    small_server.answers |= {
        ("POST", "/simulator/watch"): (200, HISTORY),
        ("POST", "/simulator/subscribe"): (200, {"status": "ok"}),
    }
    return small_server


def initialize(server: SmallServer, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "BASE_URL": server.url, **options.pop("env", {})}
    command = [sys.executable, "initialize_fakemail.py", *arguments]
    return subprocess.run(
        command, check=False, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True, timeout=60, **options
    )


def test_a_closed_pipe_leaves_no_traceback(server):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as nobody_reads:
        done = initialize(server, stdout=nobody_reads)
    assert (done.returncode, done.stderr) == (1, "")


def test_no_room_for_the_output_is_one_line(server):
    with Path("/dev/full").open("w") as full:
        done = initialize(server, stdout=full)
    assert (done.returncode, done.stderr) == (1, "initialize_fakemail.py: the output: No space left on device\n")


def test_what_a_terminal_cannot_show_is_written_all_the_same(server):
    server.answers["POST", "/simulator/watch"] = 200, {"history_id": "\u263a"}
    done = initialize(server, stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "history id \\u263a" in done.stdout


def test_a_server_that_does_not_answer_is_one_line(server):
    done = initialize(server, stdout=subprocess.PIPE, env={"BASE_URL": "http://127.0.0.1:9"})
    assert done.returncode == 1
    assert done.stderr.startswith("initialize_fakemail.py: no answer from http://127.0.0.1:9")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--fakemail", "--webhook"])
def test_what_is_no_url_is_wrong_usage(server, option):
    done = initialize(server, option, "nonsense", stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert f"argument {option}: must begin with http:// or https://" in done.stderr
