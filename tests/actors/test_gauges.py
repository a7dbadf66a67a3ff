"""The gauges that alerts need are measured independently: if one is unavailable, the others are still reported."""

import time
from collections.abc import Callable
from functools import partial

import pytest
from prometheus_client import generate_latest

from actors.gauges import Gauges
from actors.metrics import METRICS
from engine.errors import DependencyTrouble
from engine.events import Bus
from engine.mailbox import Envelope
from engine.metrics import Metrics
from storage.results import ResultStore
from tests.actors.conftest import eventually
from tests.storage.books_fixtures import enter


def has(text: Callable[[], str], line: str) -> bool:
    return line in text()


@pytest.fixture
def metrics(started, mailboxes, database, tmp_path):
    def start(**changes):
        bus = Bus()
        options = {
            "name": "gauges", "bus": bus, "store": mailboxes, "stats": ResultStore(database).stats, "folder": tmp_path,
            "database_bytes": database.size_bytes, "breaker_open": lambda: True, "leases": ("lister:main", "tasks"), "every": 0.02,
        }  # fmt: skip
        found = Metrics(bus, METRICS)
        started(Gauges, **{**options, **changes})
        return lambda: generate_latest(found.registry).decode()

    return start


def test_everything_is_measured(metrics, mailboxes, books):
    enter(books, ["a", "b"], source=books.source("main"))
    mailboxes.put("fetch", [Envelope("main", "a", ref=1)])
    mailboxes.lease("tasks", "somebody", ttl=60)
    time.sleep(0.01)
    text = metrics()
    for line in (
        'emailproc_emails{state="queued"} 2.0',
        "emailproc_leaders_missing 1.0",
        "emailproc_fakemail_breaker_open 1.0",
    ):
        eventually(partial(has, text, line))
    eventually(lambda: "emailproc_database_bytes" in text())
    values = dict(line.rsplit(" ", 1) for line in text().splitlines() if not line.startswith("#"))
    for name in ("oldest_queued_age_seconds", "redis_memory_bytes", "disk_free_bytes", "database_bytes"):
        assert float(values[f"emailproc_{name}"]) > 0, name


def test_a_figure_does_not_pay_for_the_time_of_those_before(started, mailboxes, tmp_path):
    """Regression: while PostgreSQL was frozen, its two figures together took longer than the actor's deadline."""
    since: list[float | None] = []

    def slow(_now):
        since.append(gauges.card.busy_at)
        raise DependencyTrouble("no answer", dependency="database")

    def size():
        since.append(gauges.card.busy_at)
        return 1

    gauges = started(
        Gauges,
        name="gauges",
        bus=Bus(),
        store=mailboxes,
        stats=slow,
        folder=tmp_path,
        database_bytes=size,
        breaker_open=lambda: False,
        leases=(),
        every=0.02,
    )
    eventually(lambda: len(since) >= 4)
    assert len({*since}) == len(since)


def test_what_is_away_leaves_out_its_own_figures_only(metrics):
    def away(_now):
        raise DependencyTrouble("away", dependency="database")

    text = metrics(stats=away)
    eventually(lambda: "emailproc_leaders_missing 2.0" in text())
    assert 'emailproc_emails{state="queued"} 0.0' in text() or 'state="queued"' not in text()
