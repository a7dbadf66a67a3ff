"""A few seeds in every test run; `python -m tests.simulation.run --seeds 20000` runs many."""

import pytest

from tests.simulation.run import run_seed

EACH = 20


@pytest.mark.parametrize("first", range(0, 60, EACH))
def test_whatever_is_killed_lost_or_wiped_every_email_ends_once_and_is_told_of_once(database, first):
    for seed in range(first, first + EACH):
        run_seed(seed, database)


def test_a_seed_can_be_had_again(database):
    first, again = (run_seed(7, database) for _ in range(2))
    assert first.store._log == again.store._log
