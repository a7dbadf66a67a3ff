"""Small storms on one system: other traffic is served, memory stays flat, attackers are dropped. See `make storms`."""

import pytest

from tests.security.storms import (
    SETTINGS,
    Outcome,
    Stage,
    finished,
    idle_connects,
    slow_sockets,
    stuck_readers,
    webhook_storm,
)

pytestmark = pytest.mark.slow


def test_good_traffic_is_answered_in_every_storm(start):
    stage = Stage(start(**SETTINGS))
    outcome, memory = Outcome("all"), stage.rss_mib()
    probe = stage.probe(25, 20)
    for storm in (webhook_storm(400, 3), idle_connects(3000, 500), stuck_readers(40, 400), slow_sockets(30)):
        storm(stage, outcome)
        assert outcome.closed_s < 16, outcome
    outcome.during = finished(probe)
    assert outcome.during["failed"] == {}, outcome
    assert outcome.during["requests"] == 500
    assert outcome.during["p50"] < 500, outcome  # the machine may be busy: `make storms` has the figures
    assert stage.rss_mib() - memory < 64, outcome
    assert outcome.notes["events_to_the_good_one"] == 400
    assert not stage.system.log().count("Traceback")
