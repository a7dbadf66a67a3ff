"""A node's metrics page covers all processes of the node, and no other node's."""

import pytest

from commands import measuring
from engine.events import HANDLER_FAILED, Bus
from engine.metrics import Metrics
from storage.redis_mailbox import RedisMailboxes

FAILURES = "emailproc_handler_failures_total"


@pytest.fixture
def mailboxes(valkey_url, redis_client):
    made = RedisMailboxes(valkey_url, namespace="test", rooms={})
    yield made
    made.close()


def counted(mailbox):
    """Return the metrics of a process in which a batch of this mailbox failed."""
    bus = Bus()
    metrics = Metrics(bus)
    bus.emit(HANDLER_FAILED, mailbox=mailbox)
    return metrics


def told(page):
    return sorted(line for line in page.decode().splitlines() if line.startswith(FAILURES))


def test_all_processes_of_the_node_are_shown_and_our_own_fresh(mailboxes):
    mailboxes.beat("n/front", {"node": "n"}, ttl=30, metrics=counted("stale").snapshot())
    mailboxes.beat("n/worker-1", {"node": "n"}, ttl=30, metrics=counted("classify").snapshot())
    mailboxes.beat("other/front", {"node": "other"}, ttl=30, metrics=counted("fetch").snapshot())
    assert told(measuring.of_node(mailboxes, "n/front", counted("fresh"))) == [
        FAILURES + '{mailbox="classify",process="worker-1"} 1.0',
        FAILURES + '{mailbox="fresh",process="front"} 1.0',
    ]
