"""An older version from git's history: its nodes outlive a schema change but cannot restart; a backup leads back."""

import os
import subprocess
import sys
import time

import pytest

from commands.drill.system import until
from commands.venv import ROOT
from commands.version import VERSION
from tests.chaos.nodes import end, load, serve
from tests.chaos.versions import of_commit
from tests.flow.test_upgrade import REFUSED, bench, goes_on, replaced, stores, version_of

__all__ = ["bench", "stores"]

pytestmark = [pytest.mark.chaos, pytest.mark.postgres]

BEFORE_STEP_8 = "7ee5371"


def command(node, *argv):
    """Run one of the node's own commands, in its version."""
    env = {**os.environ, **node.environ}
    done = subprocess.run(
        [sys.executable, node.root / "run.py", *argv],
        env=env,
        cwd=node.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_older_version_lives_on_beside_a_newer_schema_and_is_put_back_by_a_backup(bench, stores, short_tmp):
    old = of_commit(short_tmp / f"old-{time.monotonic_ns() % 10**6}", BEFORE_STEP_8)
    if old is None:
        pytest.skip(f"commit {BEFORE_STEP_8} is not in this clone's history")
    first, second = bench.system, serve(bench, short_tmp / f"second-{time.monotonic_ns() % 10**6}", stores)
    first.root = second.root = old
    try:
        bench.start()
        second.start()
        second.ready()
        bench.send(40)
        bench.settled()
        command(first, "backup", str(first.folder / "before.backup"))
        with load(bench, batch=20):
            goes_on(bench)
            replaced(second, ROOT)
            assert version_of(second) == VERSION
            goes_on(bench)  # the first node still has the old version
            assert first.ended() is None
            replaced(first, ROOT)
            goes_on(bench)
        bench.settled(120)
        bench.balance()

        for node in (first, second):
            assert node.stop(30) == 0
        first.root = second.root = old
        first.start()
        until("its refusal", lambda: first.ended() is not None, 60)
        assert first.ended() == REFUSED
        command(first, "restore", str(first.folder / "before.backup"))
        bench.start()
        second.start()
        second.ready()
        bench.send(40)
        bench.settled(120)
        bench.balance(events=False)  # what came after the backup was announced twice
    finally:
        end(second)
