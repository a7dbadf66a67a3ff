"""The embedded Valkey: data survive, processes do not linger, and nobody has to remove or repair anything."""

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import redis

from engine.errors import EngineError
from engine.mailbox import Envelope
from storage import embedded
from storage.embedded import EmbeddedValkey
from storage.redis_client import check_server, connect
from storage.redis_mailbox import RedisMailboxes
from tests.servers import wait_until

ROOT = Path(embedded.__file__).parents[1]


@pytest.fixture
def data_dir(short_tmp):
    folder = short_tmp / f"d{time.monotonic_ns() % 10**9}"
    folder.mkdir()
    return folder


@pytest.fixture
def make(data_dir):
    """A function that makes servers on one data folder; those still running at the end are killed."""
    made: list[EmbeddedValkey] = []

    def make(folder: Path = data_dir) -> EmbeddedValkey:
        made.append(EmbeddedValkey(folder))
        return made[-1]

    yield make
    for server in made:
        server.stop(0)


def put(server: EmbeddedValkey, count: int) -> None:
    box = RedisMailboxes(server.url, namespace="test", rooms={})
    box.put("fetch", [Envelope(source="main", key=str(number), body=b"x" * 500) for number in range(count)])
    box.close()


def kept(server: EmbeddedValkey) -> int:
    box = RedisMailboxes(server.url, namespace="test", rooms={})
    count = box.depths("fetch")["normal"].messages
    box.close()
    return count


def killed(server: EmbeddedValkey) -> None:
    assert server.process is not None
    server.process.kill()
    server.process.wait()


def last_append_file(data_dir: Path) -> Path:
    return max((data_dir / "valkey" / "appendonlydir").glob("*.incr.aof"))


def test_it_starts_as_we_want_it_and_keeps_its_data(make):
    server = make()
    server.start()
    client = connect(server.url)
    assert check_server(client) == []
    assert client.config_get("appendfsync") == {"appendfsync": "no"}  # docs/decisions/0012
    client.close()
    put(server, 10)
    server.stop()
    assert server.process.returncode == 0
    server.start()
    assert kept(server) == 10


def test_killing_it_loses_nothing_that_was_acknowledged(make):
    server = make()
    server.start()
    for round_number in range(1, 4):
        put(server, 100)
        killed(server)
        server.start()
        assert kept(server) == 100 * round_number


def test_one_that_is_killed_while_it_starts_is_started_again(make, monkeypatch):
    server = make()
    killed_ones: list[int] = []
    wait = server._wait_until_it_answers

    def killed_at_first(process, patience):
        if not killed_ones:
            killed_ones.append(process.pid)
            process.kill()
        return wait(process, patience)

    monkeypatch.setattr(server, "_wait_until_it_answers", killed_at_first)
    server.start()
    assert server.process.pid not in killed_ones
    put(server, 10)
    assert kept(server) == 10


def test_a_server_left_behind_is_ended_before_the_next_starts(make):
    old = make()
    old.start()
    put(old, 10)
    new = make()
    new.start()
    assert old.process.wait(5) == 0
    assert kept(new) == 10


def test_a_frozen_server_left_behind_is_killed(make, monkeypatch):
    monkeypatch.setattr(embedded, "GRACE", 0.2)
    old = make()
    old.start()
    put(old, 10)
    old.process.send_signal(signal.SIGSTOP)
    new = make()
    new.start()
    assert old.process.wait(5) == -signal.SIGKILL
    assert kept(new) == 10


def test_a_server_left_behind_is_found_without_its_pid_file(make, data_dir):
    old = make()
    old.start()
    put(old, 10)
    (data_dir / "valkey" / "valkey.pid").unlink()
    new = make()
    new.start()
    assert old.process.wait(5) == 0
    assert kept(new) == 10


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_it_ends_with_its_launcher_and_the_next_launcher_goes_on(make, data_dir):
    script = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from storage.embedded import EmbeddedValkey
        server = EmbeddedValkey(Path({str(data_dir)!r}))
        server.start()
        print(server.process.pid, flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout is not None
        pid = int(launcher.stdout.readline())
        first = make()
        first.url = f"unix://{data_dir}/valkey/valkey.sock"
        put(first, 10)
        launcher.kill()
    second = make()
    second.start()
    assert kept(second) == 10
    wait_until(lambda: "valkey" not in embedded._command_of(pid), "the end of the first server")


def test_stale_files_are_no_hindrance(make, data_dir):
    server = make()
    server.start()
    put(server, 10)
    killed(server)
    assert (data_dir / "valkey" / "valkey.sock").exists()
    (data_dir / "valkey" / "valkey.pid").write_text(str(os.getpid()))
    server.start()
    assert kept(server) == 10


def test_an_append_only_file_cut_short_loses_its_end_alone(make, data_dir):
    server = make()
    server.start()
    put(server, 10)
    put(server, 10)
    killed(server)
    file = last_append_file(data_dir)
    file.write_bytes(file.read_bytes()[:-100])
    server.start()
    assert kept(server) == 10


@pytest.mark.parametrize("damage", ["append-only file", "manifest"])
def test_data_that_cannot_be_read_is_set_aside_with_one_line(make, data_dir, caplog, damage):
    server = make()
    server.start()
    put(server, 10)
    killed(server)
    folder = data_dir / "valkey" / "appendonlydir"
    file = last_append_file(data_dir) if damage == "append-only file" else next(folder.glob("*.manifest"))
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2] + b"\0" * 100 + data[len(data) // 2 :])
    server.start()
    assert kept(server) == 0
    [line] = [record.getMessage() for record in caplog.records]
    assert "set aside" in line
    assert (data_dir / "valkey" / "unreadable" / file.name).exists()


def test_what_keeps_it_from_starting_is_said_in_one_line(make, data_dir):
    (data_dir / "valkey").mkdir()
    (data_dir / "valkey" / "appendonlydir").write_text("not a folder")
    with pytest.raises(EngineError, match="embedded Valkey did not start") as caught:
        make().start()
    assert "\n" not in str(caught.value)


def test_a_long_path_means_a_loopback_port_with_a_password(make, data_dir):
    folder = data_dir / ("long" * 25)
    folder.mkdir()
    server = make(folder)
    server.start()
    assert server.url.startswith("redis://:")
    put(server, 5)
    host = server.url.rpartition("@")[2]
    with redis.Redis.from_url(f"redis://{host}") as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    old, new = server, make(folder)
    new.start()
    assert old.process.wait(5) == 0
    assert kept(new) == 5


def test_started_again_it_is_where_its_clients_know_it_to_be(make, data_dir):
    folder = data_dir / ("long" * 25)
    folder.mkdir()
    server = make(folder)
    server.start()
    put(server, 5)
    known = server.url
    killed(server)
    server.start()
    assert server.url == known
    assert kept(server) == 5


def test_a_path_with_odd_characters_works(make, data_dir):
    folder = data_dir / 'a "b" #c?%20é'
    folder.mkdir()
    server = make(folder)
    server.start()
    put(server, 5)
    assert kept(server) == 5


def test_others_on_the_machine_cannot_look_in(make, data_dir):
    make().start()
    assert stat.S_IMODE((data_dir / "valkey").stat().st_mode) == 0o700
    assert stat.S_IMODE((data_dir / "valkey" / "valkey.conf").stat().st_mode) == 0o600
    assert stat.S_IMODE((data_dir / "valkey" / "valkey.sock").stat().st_mode) == 0o700


def test_it_starts_again_on_a_disk_that_is_full(make, monkeypatch):
    def refuse(*_args, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    server = make()
    server.start()
    put(server, 5)
    killed(server)
    monkeypatch.setattr(Path, "write_text", refuse)
    make().start()
    assert kept(server) == 5


def test_its_log_is_bounded(make, data_dir, monkeypatch):
    monkeypatch.setattr(embedded, "LOG_LIMIT", 10)
    server = make()
    server.start()
    server.rotate_log()
    assert not (data_dir / "valkey" / "valkey.log").exists()
    assert (data_dir / "valkey" / "valkey.log.1").exists()
    server.stop()
    assert (data_dir / "valkey" / "valkey.log").exists(), "it writes on"


def test_the_server_gets_jemalloc_where_the_machine_has_it(tmp_path, monkeypatch):
    (library := tmp_path / "libjemalloc.so.2").touch()
    monkeypatch.setattr(embedded, "JEMALLOC", Path("libjemalloc-nowhere.so"))
    plain = embedded.server_command()
    monkeypatch.setattr(embedded, "JEMALLOC", library)
    assert embedded.server_command() == ["/usr/bin/env", f"LD_PRELOAD={library}", *plain]


def test_a_library_that_does_not_fit_keeps_no_server_from_starting(tmp_path, make, monkeypatch):
    (tmp_path / "libjemalloc.so.2").write_bytes(b"not a library")
    monkeypatch.setattr(embedded, "JEMALLOC", tmp_path / "libjemalloc.so.2")
    server = make()
    server.start()
    put(server, 1)
    assert kept(server) == 1
