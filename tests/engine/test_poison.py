"""Messages that kill whole processes, on a real store under a real launcher: they are buried, others are not blamed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from engine.mailbox import DEAD
from engine.outcome import DeadLetterBody
from storage.redis_mailbox import RedisMailboxes
from tests.engine.helpers import in_mailbox, letters, told
from tests.servers import wait_until

ROOT = Path(__file__).parents[2]
NODE = ROOT / "tests" / "engine" / "programs" / "node.py"


@pytest.fixture
def store(valkey_url, redis_client):
    store = RedisMailboxes(valkey_url, namespace="poison", rooms={})
    yield store
    store.close()


@pytest.fixture
def start(tmp_path, valkey_url):
    started = []

    def begin():
        started.append(
            subprocess.Popen(
                [sys.executable, str(NODE), str(tmp_path), json.dumps({}), f"worker=worker,{valkey_url},poison"],
                env={**os.environ, "PYTHONPATH": f"{ROOT}:{':'.join(sys.path)}"},
                start_new_session=True,
            )
        )
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def dead_letter_bodies(store):
    letters = store.take(DEAD, "t/t/t", count=100, max_bytes=1 << 30, block=0.0)
    return {
        letter.envelope.key: msgspec.msgpack.decode(letter.envelope.body, type=DeadLetterBody) for letter in letters
    }


@pytest.mark.slow
@pytest.mark.parametrize("poison", ["kill", "freeze"])
def test_poison_is_buried_after_three_deaths_and_nobody_else_is_blamed(store, start, poison):
    good = [f"good {number}" for number in range(300)]
    before = store.log_bounds()[1]
    store.put("work", letters(*good[:5], poison, *good[5:]))
    node = start()
    wait_until(lambda: in_mailbox(store) == 0, "an empty mailbox", deadline=60.0)
    [(key, body)] = dead_letter_bodies(store).items()
    assert (key, body.reason, body.attempts) == (poison, "crashed_process", 3)
    assert told(store, before) == {f"done {key}": 1 for key in good}
    node.terminate()
    assert node.wait(10) == 0


@pytest.mark.slow
def test_kills_of_everything_blame_nobody(store, start):
    good = [f"good {number}" for number in range(3_000)]
    before = store.log_bounds()[1]
    for part in range(3):
        store.put("work", letters(*good[part * 1_000 : (part + 1) * 1_000]))
        node = start()
        wait_until(lambda: any(store.consumers("work").values()) or in_mailbox(store) == 0, "work in hand")
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()
    start()
    wait_until(lambda: in_mailbox(store) == 0, "an empty mailbox")
    assert not dead_letter_bodies(store)
    assert told(store, before) == {f"done {key}": 1 for key in good}
