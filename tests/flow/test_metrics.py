"""The metrics of real processes just after their start: what an alert takes the rise of must be there before it rises."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.metrics import LOOKS, REASONS
from tests.servers import wait_until

SECONDS = 60.0


def series(system):
    """(name, process, labels) → value"""
    found = {}
    for family in text_string_to_metric_families(system.request("GET", "/metrics").text):
        for sample in family.samples:
            labels = dict(sample.labels)
            process = labels.pop("process")
            found[sample.name, process, *sorted(labels.items())] = sample.value
    return found


@pytest.fixture(scope="module")
def fresh(system):
    """The first scrape that has both processes."""
    found = {}

    def both_told() -> bool:
        found.update(series(system))
        return {"front", "worker-1"} <= {key[1] for key in found}

    wait_until(both_told, "metrics of both processes", SECONDS)
    return found


def test_burials_begin_at_0_for_every_reason(fresh):
    for mailbox, process in (("fetch", "front"), ("classify", "worker-1")):
        for reason in REASONS[mailbox]:
            key = ("emailproc_burials_total", process, ("mailbox", mailbox), ("reason", reason))
            assert fresh[key] == 0


def test_so_do_classified_emails_looks_and_restarts(fresh):
    assert fresh["emailproc_messages_total", "worker-1", ("mailbox", "classify"), ("outcome", "done")] >= 0
    for kind in LOOKS:
        assert fresh["emailproc_listed_emails_total", "front", ("kind", kind), ("source", "main")] == 0
    for process, kind in (("front", "lister"), ("front", "fetcher"), ("worker-1", "classifier"), ("worker-1", "heart")):
        assert fresh["emailproc_actor_restarts_total", process, ("kind", kind)] >= 0


def test_a_gauge_of_the_front_is_no_0_of_a_worker(fresh):
    assert not [key for key in fresh if key[0] == "emailproc_disk_free_bytes" and key[1] != "front"]
