"""Metrics: one row per event, closed label sets, and the union of all processes."""

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from engine import events
from engine.events import Bus
from engine.metrics import ENGINE_METRICS, MAX_SERIES, Metrics, render_union

BATCH = {"mailbox": "fetch", "messages": 3, "done": 2, "forwarded": 0, "retried": 1, "buried": 0, "foreign": 0}


def samples(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.fixture
def bus():
    return Bus()


@pytest.fixture
def metrics(bus):
    return Metrics(bus)


def test_a_batch_is_counted_by_what_became_of_its_messages(bus, metrics):
    bus.emit(events.BATCH_SETTLED, **BATCH, handle_s=0.25)
    bus.emit(events.BATCH_SETTLED, **BATCH, handle_s=0.5)
    found = samples(generate_latest(metrics.registry))
    assert found["emailproc_messages_total", ("mailbox", "fetch"), ("outcome", "done")] == 4
    assert found["emailproc_messages_total", ("mailbox", "fetch"), ("outcome", "retried")] == 2
    assert found["emailproc_batch_seconds_sum", ("mailbox", "fetch"), ("step", "handle")] == 0.75
    assert found["emailproc_batch_messages_count", ("mailbox", "fetch")] == 2


def test_a_list_of_lags_is_observed_one_by_one(bus, metrics):
    bus.emit(events.HUB_LAG, lags=[0.001, 0.3, 0.002], longest=0.3)
    found = samples(generate_latest(metrics.registry))
    assert found["emailproc_hub_lag_seconds_count",] == 3
    assert found["emailproc_hub_lag_longest_seconds",] == 0.3


def test_a_gauge_that_nobody_has_measured_is_not_there_rather_than_0(bus, metrics):
    assert not [key for key in samples(generate_latest(metrics.registry)) if key[0] == "emailproc_paused"]
    assert b"emailproc_paused" not in metrics.snapshot()
    bus.emit(events.CONTROL_CHANGED, paused=None)
    assert b"emailproc_paused" not in metrics.snapshot()
    bus.emit(events.CONTROL_CHANGED, paused=False)
    assert samples(generate_latest(metrics.registry))["emailproc_paused",] == 0
    bus.emit(events.CONTROL_CHANGED, paused=True)
    assert samples(generate_latest(metrics.registry))["emailproc_paused",] == 1


def test_a_counter_can_begin_at_0_before_its_first_event(bus, metrics):
    metrics.begin("emailproc_burials_total", [("fetch", "gone")])
    key = ("emailproc_burials_total", ("mailbox", "fetch"), ("reason", "gone"))
    assert samples(generate_latest(metrics.registry))[key] == 0
    bus.emit(events.MESSAGE_BURIED, mailbox="fetch", reason="gone", count=3)
    assert samples(generate_latest(metrics.registry))[key] == 3


def test_the_number_of_series_has_a_limit(bus, metrics):
    for number in range(MAX_SERIES + 50):
        bus.emit(events.ACTOR_FAILED, kind=f"kind {number}")
    found = samples(generate_latest(metrics.registry))
    mine = [key for key in found if key[0] == "emailproc_actor_failures_total"]
    assert len(mine) == MAX_SERIES + 1
    assert found["emailproc_actor_failures_total", ("kind", "other")] == 50


def test_the_union_tells_the_processes_apart(bus, metrics):
    other_bus = Bus()
    other = Metrics(other_bus)
    bus.emit(events.ACTOR_FAILED, kind="lister")
    other_bus.emit(events.ACTOR_FAILED, kind="lister")
    other_bus.emit(events.ACTOR_FAILED, kind="lister")
    found = samples(render_union({"front": metrics.snapshot(), "worker-1": other.snapshot()}))
    assert found["emailproc_actor_failures_total", ("kind", "lister"), ("process", "front")] == 1
    assert found["emailproc_actor_failures_total", ("kind", "lister"), ("process", "worker-1")] == 2


@pytest.mark.parametrize("row", ENGINE_METRICS, ids=lambda row: f"{row.name} {dict(row.fixed)}")
def test_every_row_follows_the_naming_rules_and_is_fed_by_its_event(row, bus, metrics):
    assert row.name.startswith("emailproc_")
    assert row.name.endswith("_total") == (row.kind.__name__ == "Counter")
    fields = {"count": 1, "seconds": 1.0, "lags": [1.0], "longest": 1.0, "paused": True, **BATCH}
    bus.emit(row.event, **{**fields, **dict.fromkeys(row.labels, "x")})
    assert any(
        name[0].startswith(row.name) and value for name, value in samples(generate_latest(metrics.registry)).items()
    )
