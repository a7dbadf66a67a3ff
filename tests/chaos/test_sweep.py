"""As much of the sweep as fits its time budget; SWEEP_SEED changes the order. `make sweep` runs all of it."""

import os
import random

import pytest

from tests.chaos.sweep import cases, sweep

BUDGET_S = float(os.environ.get("SWEEP_SECONDS", "120"))

pytestmark = pytest.mark.chaos


def test_a_process_that_dies_at_a_failpoint_loses_nothing_and_doubles_nothing(short_tmp):
    wanted = cases()
    random.Random(int(os.environ.get("SWEEP_SEED", "1"))).shuffle(wanted)
    outcomes = sweep(short_tmp / "sweep", wanted, BUDGET_S, print)
    assert outcomes
    assert {str(case): outcome for case, outcome in outcomes.items() if outcome} == {}
