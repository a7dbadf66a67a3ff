"""`run.py serve` refuses at once what it could not do later."""

import socket
from pathlib import Path

from tests.commands.test_run import call


def test_a_port_that_is_in_use_is_one_line_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = call("serve", PORT=str(port), DATA_DIR=str(tmp_path / "data"))
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"run.py: HOST, PORT: cannot listen on 127.0.0.1:{port}: address already in use\n"
    assert not (tmp_path / "data" / "emails.db").exists()


def test_a_host_that_there_is_not_is_one_line(tmp_path: Path) -> None:
    for port in ("0", "8005"):
        done = call("serve", HOST="127.0.0.1.invalid", PORT=port, DATA_DIR=str(tmp_path), ALLOW_ANONYMOUS="true")
        assert done.returncode == 78
        assert done.stderr.startswith(f"run.py: HOST, PORT: cannot listen on 127.0.0.1.invalid:{port}: ")
        assert len(done.stderr.splitlines()) == 1
