"""Metrics right after the start of real processes: counters that alerts watch for increases exist from the start."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.metrics import LOOKS, REASONS
from tests.servers import wait_until
from tests.test_deploy import LABEL, NAME, expressions

SECONDS = 60.0


def series(system):
    """Return (name, process, labels) → value."""
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
    for process, kind in (
        ("front", "lister"),
        ("front", "fetcher"),
        ("worker-1", "classifier"),
        ("worker-1", "heartbeat"),
    ):
        assert fresh["emailproc_actor_restarts_total", process, ("kind", kind)] >= 0


def test_a_gauge_of_the_front_is_no_0_of_a_worker(fresh):
    assert not [key for key in fresh if key[0] == "emailproc_disk_free_bytes" and key[1] != "front"]


def test_rules_and_dashboard_ask_for_what_a_system_that_has_processed_an_email_exposes(system):
    system.send({"id": "for-metrics", "subject": "Lunch", "body": "Lunch on Friday?"})
    assert system.get("/results/for-metrics", wait=30)["email_id"] == "for-metrics"
    classified = ("emailproc_messages_total", "worker-1", ("mailbox", "classify"), ("outcome", "done"))
    wait_until(lambda: series(system).get(classified, 0) > 0, "the count of what was classified", SECONDS)

    def asked_of_nothing() -> set[str]:
        found = series(system)
        kinds = re.findall(r"^# TYPE (\w+) (\w+)$", system.request("GET", "/metrics").text, re.MULTILINE)
        exposed = {name for name, _ in kinds} | {key[0] for key in found}
        names = {name for expression in expressions() for name in NAME.findall(expression)}
        return (names - exposed) | {
            f"{name}{{{selectors}}}"
            for expression in expressions()
            for name, selectors in LABEL.findall(expression)
            if not any(key[0] == name and set(re.findall(r'(\w+)="(.*?)"', selectors)) <= {*key[2:]} for key in found)
        }

    wait_until(lambda: not asked_of_nothing(), "series for every query", SECONDS)
