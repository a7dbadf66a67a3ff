"""Restart decisions, as pure functions with the clock passed in."""

from engine.supervision import Backoff, Budget, ChildSpec, Escalate, Restart, decide

BUDGET, PACE = Budget(max=3, within=10.0), Backoff(base=1.0, cap=8.0)


def test_the_first_failure_is_restarted_at_once():
    assert decide([], 100.0, BUDGET, PACE) == Restart(0.0)


def test_the_next_ones_wait_longer_and_longer():
    for failures, whole in ((1, 1), (2, 2), (3, 4), (4, 8), (9, 8)):
        decision = decide([100.0] * failures, 101.0, Budget(99, 10.0), PACE)
        assert isinstance(decision, Restart)
        assert whole / 2 <= decision.delay <= whole


def test_a_used_up_budget_escalates_and_says_why():
    assert decide([91.0, 95.0, 99.0], 100.0, BUDGET, PACE) == Escalate("4 failures within 10 s")


def test_failures_that_are_long_ago_do_not_count():
    assert decide([1.0, 2.0, 3.0, 80.0], 100.0, BUDGET, PACE) == Restart(0.0)


def test_a_pool_has_a_name_for_each_of_its_actors():
    spec = ChildSpec("classifier", str, count=2)
    assert spec.names(3) == ["classifier-1", "classifier-2", "classifier-3"]
    assert ChildSpec("lister", str).names(None) == ["lister"]
