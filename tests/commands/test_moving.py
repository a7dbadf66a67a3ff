"""`run.py migrate-store`: killed midway and run again; the system then goes on with the new database."""

import json
import os
import signal
import subprocess
import sys
import time

import psycopg
import pytest

from engine.locking import locked
from storage.books import Books
from storage.results import ResultStore
from tests.flow.system import ROOT, System, mails
from tests.servers import wait_until
from tests.storage.books_fixtures import enter, open_database, result

pytestmark = pytest.mark.postgres


@pytest.fixture
def target_url(postgres):
    name = f"t{time.monotonic_ns()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres.url.replace("/postgres?", f"/{name}?")


def move(folder, url, *, wait=True):
    env = {**os.environ, "DATA_DIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "run.py", "migrate-store", "--to", url, "--json"],
        cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if not wait:
        return process
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def fill(folder, count):
    """Make a database of finished emails with bodies."""
    folder.mkdir()
    database = open_database(f"sqlite:///{folder}/emails.db")
    books, results = Books(database), ResultStore(database)
    books.open_source("main", "simulator:")
    for start in range(0, count, 1_000):
        keys = [f"e{number}" for number in range(start, start + 1_000)]
        refs = enter(books, keys, source=books.source("main"))
        results.save([result(ref, key) for ref, key in zip(refs, keys, strict=True)], shard="w")
    audit = books.audit()
    database.close()
    return audit


def rows_there(url):
    with psycopg.connect(url) as connection:
        try:
            return sum(
                count
                for (count,) in connection.execute("SELECT COUNT(*) FROM book UNION ALL SELECT COUNT(*) FROM content")
            )
        except psycopg.errors.UndefinedTable:
            return 0


def test_a_move_that_is_killed_goes_on_and_ends_with_everything(tmp_path, target_url):
    before = fill(tmp_path / "laptop", 12_000)
    killed = move(tmp_path / "laptop", target_url, wait=False)
    wait_until(lambda: rows_there(target_url) > 12_000, "some contents", 60)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=20)
    assert killed.returncode == -signal.SIGKILL
    assert rows_there(target_url) < 24_000, "it was killed in the middle"
    code, out, err = move(tmp_path / "laptop", target_url)
    assert code == 0, err
    told = json.loads(out)
    assert told["rows"]["content"] == told["rows"]["result"] == 12_000
    assert told["moved"] < sum(told["rows"].values()), "what was there was not copied again"
    there = open_database(target_url)
    after = Books(there).audit()
    assert (after.listed, after.results) == (before.listed, before.results) == (12_000, 12_000)
    there.close()
    code, _, err = move(tmp_path / "laptop", target_url)
    assert code == 1
    assert "these books were already moved there, or the target has others: take an empty database" in err


KILLED_AT_ITS_END = """
import os, signal, sys
from storage.books import Books
Books.renew_books_id = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
import run
sys.exit(run.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("used", "ends"), [(False, 0), (True, 1)])
def test_a_kill_between_the_last_two_writes_is_made_up_for_unless_the_source_was_used_since(
    tmp_path, target_url, used, ends
):
    folder = tmp_path / "laptop"
    fill(folder, 100)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT_ITS_END, "migrate-store", "--to", target_url],
        cwd=ROOT, env={**os.environ, "DATA_DIR": str(folder)}, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    if used:
        put_into_the_books(folder, ["late"])
    code, out, err = move(folder, target_url)
    assert code == ends, err
    assert "used since" in err if used else '"moved": 0' in out


def test_a_running_system_is_refused(tmp_path, target_url):
    fill(tmp_path / "laptop", 1_000)
    with locked(tmp_path / "laptop" / "lock", 0.5):
        code, _, err = move(tmp_path / "laptop", target_url)
    assert code == 75
    assert "is in use by process" in err
    assert rows_there(target_url) == 0


@pytest.mark.parametrize(
    ("url", "ends", "says"),
    [
        ("sqlite:///other.db", 2, "--to must begin with postgresql://"),
        ("postgresql://127.0.0.1:1/x", 1, "Connection refused"),
    ],
)
def test_a_target_that_cannot_be_is_one_line(tmp_path, url, ends, says):
    fill(tmp_path / "laptop", 1_000)
    code, _, err = move(tmp_path / "laptop", url)
    assert (code, len(err.strip().splitlines())) == (ends, 1)
    assert says in err


def states(system):
    """Return the states of all actors that hand mail on."""
    processes = [process for node in system.get("/actors")["nodes"] for process in node["processes"]]
    kinds = {"fetcher", "classifier"}
    return {actor["state"] for process in processes for actor in process["actors"] if actor["kind"] in kinds}


def put_into_the_books(folder, ids):
    """Enter ids as another node's lister would: this node's is paused like all others."""
    database = open_database(f"sqlite:///{folder}/emails.db")
    books = Books(database)
    assert len(enter(books, ids, source=books.source("main"))) == len(ids)
    database.close()


def test_the_system_goes_on_in_the_new_database(short_tmp, target_url):
    folder = short_tmp / f"move-{time.monotonic_ns() % 10**6}"
    laptop = System(folder, {"POLL_INTERVAL_S": "1"}).start()
    laptop.send(*mails(60, "before"))
    laptop.settle(60)
    told = len(laptop.get("/events", limit=1000)["items"])
    laptop.post("/actors/pause", {})
    wait_until(lambda: states(laptop) == {"paused"}, "everybody paused who takes mail")
    put_into_the_books(folder, laptop.send(*mails(20, "open")))
    wait_until(lambda: len(laptop.get("/events", limit=1000)["items"]) > told, "the open ones fed")
    cursor = laptop.get("/stats")["last_history_id"]
    seq = laptop.get("/events", limit=1000)["next_after"]
    assert laptop.stop() == 0
    code, _, err = move(folder, target_url)
    assert code == 0, err
    moved = System(folder, {"POLL_INTERVAL_S": "1", "DATABASE_URL": target_url}).start()
    try:
        assert moved.get("/stats")["last_history_id"] == cursor
        assert moved.get("/events", after=seq)["items"] == [], "the event log goes on too"
        moved.post("/actors/resume", {})
        moved.send(*mails(10, "after"))
        audit = moved.settle(90)
        assert (audit["listed"], audit["results"], audit["unaccounted"]) == (90, 90, 0)
        wait_until(lambda: len(moved.get("/emails", q="Monday", limit=100)["items"]) == 90, "the index", 30)
    finally:
        moved.stop()
