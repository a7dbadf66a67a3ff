"""Stopped classifiers: the mailboxes fill to their limit, the rest waits in the books, and nothing is lost."""

import os
import signal
import time

import pytest

from commands.drill import processes
from tests.flow.system import System, mails

LIMIT, BATCH = 100, 128
"""The fetcher checks for room before it takes a batch, and has at most two in hand."""

MAILS = 1_500
STILL_S = 4.0


@pytest.fixture
def narrow(short_tmp):
    running = System(short_tmp / "narrow", {"MAILBOX_LIMIT": str(LIMIT), "PROCESSOR_PROCESSES": "1"}).start()
    yield running
    running.stop()


def waiting(running):
    """Return mailbox → messages in all its lanes."""
    boxes = running.get("/actors")["mailboxes"]
    return {name: sum(lane["messages"] for lane in lanes.values()) for name, lanes in boxes.items()}


def test_mailboxes_hold_their_limit_and_the_rest_waits_in_the_books(narrow):
    workers = [seen.pid for seen in processes.below(narrow.process.pid) if seen.role == "worker"]
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    narrow.send(*mails(MAILS, "heap"))
    most = {"fetch": 0, "classify": 0}
    end = time.monotonic() + STILL_S
    while time.monotonic() < end:
        found = waiting(narrow)
        most = {name: max(most[name], found[name]) for name in most}
        time.sleep(0.05)
    audit = narrow.get("/audit")
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    assert most["fetch"] <= LIMIT + 1  # a canary
    assert LIMIT <= most["classify"] <= LIMIT + 2 * BATCH
    assert audit["listed"] == MAILS
    assert audit["queued"] >= MAILS - LIMIT - 3 * BATCH
    settled = narrow.settle(MAILS)
    assert (settled["results"], settled["dead"], settled["unaccounted"]) == (MAILS, 0, 0)
