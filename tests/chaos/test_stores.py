"""Stores that lose data: a flushed Redis, a deleted stream, an older database. Books and history restore them."""

import shutil
import signal
import time

import pytest
import redis

from engine.failpoints import VARIABLE
from tests.chaos.rig import until

pytestmark = pytest.mark.chaos

FLUSHED = 2_000
REFED_S = 240.0
"""Rows become suspects a minute after they were fed, and are checked once a minute: two minutes on an idle machine."""


@pytest.fixture
def client():
    """A client of a system's embedded Valkey."""
    made = []

    def connect(bench):
        made.append(redis.Redis.from_url(f"unix://{bench.data}/valkey/valkey.sock"))
        return made[-1]

    yield connect
    for each in made:
        each.close()


def test_a_flushed_redis_under_load_is_made_whole_from_the_books(make_rig, client):
    bench = make_rig().start()
    for _ in range(4):
        bench.send(FLUSHED // 4)
        time.sleep(0.3)
        client(bench).flushall()
    bench.settled(120)
    bench.balance(events=False)


def test_a_deleted_stream_is_found_by_reconciling_though_the_front_dies_at_it(make_rig, client):
    bench = make_rig(**{VARIABLE: "front:refeed.committed"}).start()
    bench.system.signal_roles(signal.SIGSTOP, "worker")
    bench.send(100)
    box = client(bench)

    def deleted():
        streams = [key for key in box.keys("*:mb:classify:*") if box.type(key) == b"stream" and box.xlen(key)]
        return streams and box.delete(*streams)

    until("mail before the classifiers", deleted, 30)
    bench.system.signal_roles(signal.SIGCONT, "worker")
    bench.settled(REFED_S)
    bench.balance(events=False)
    assert (bench.data / "failpoint-front-refeed.committed-1").exists()


def test_a_database_from_before_is_made_whole_from_fakemails_history(make_rig):
    bench = make_rig().start()
    bench.send(200)
    bench.settled()
    assert bench.system.stop() == 0
    copy = bench.folder / "before.db"
    shutil.copy(bench.evidence.path, copy)
    bench.start()
    bench.send(500)
    bench.settled()
    assert bench.system.stop() == 0
    for path in bench.evidence.path.parent.glob("emails.db*"):
        path.unlink()
    shutil.copy(copy, bench.evidence.path)
    bench.start()
    bench.settled()
    bench.balance(events=False)
