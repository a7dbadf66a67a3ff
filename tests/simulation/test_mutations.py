"""With one guard removed, some seed of the simulation finds an imbalance. Others: tests/storage/test_guards.py."""

import pytest

from tests.simulation import mutations

BUDGET = 500
"""At least twice what the slowest mutation needs; docs/reliability.md has the seeds."""

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("mutation", mutations.SEEN, ids=lambda mutation: mutation.__name__)
def test_a_guard_that_is_taken_out_is_missed(database, monkeypatch, mutation):
    mutation(monkeypatch)
    assert mutations.first_to_notice(database, BUDGET) is not None
