"""An email that makes the classifier raise, hang or kill its process becomes a dead letter, and no other is blamed."""

import time

import pytest

from tests.chaos.rig import until

pytestmark = pytest.mark.chaos

REASONS = {"raise": "classifier_error", "hang": "crashed_process", "kill": "crashed_process"}


@pytest.mark.parametrize("kind", REASONS)
def test_poison_is_buried_and_its_neighbours_are_not(make_rig, kind):
    bench = make_rig().start()
    bench.send(50)
    (bad,) = bench.send(1, poison=kind)
    bench.send(50)
    began, unanswered = time.monotonic(), []

    def ended():
        if bench.system.get("/health/live", timeout=3) is None:
            unanswered.append(time.monotonic() - began)
        return bench.ended() >= len(bench.sent_log.ids)

    until("the end of all", ended, 150)
    bench.balance()
    assert unanswered == []
    (letter,) = bench.system.get("/dead-letters")["items"]
    assert (letter["email_id"], letter["reason"]) == (bad, REASONS[kind])
