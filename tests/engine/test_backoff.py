"""The back-off's pure functions."""

import random

import pytest

from engine.backoff import backoff


@pytest.mark.parametrize("attempt", [-1, 0, 1, 2, 10, 10_000])
def test_back_off_is_never_less_than_half_and_never_above_its_cap(attempt):
    rng = random.Random(1)
    whole = min(5.0, 0.1 * 2 ** (min(max(attempt, 1), 20) - 1))
    pauses = [backoff(attempt, base=0.1, cap=5.0, rng=rng) for _ in range(200)]
    assert whole / 2 <= min(pauses) <= max(pauses) <= whole
    assert max(pauses) - min(pauses) > whole / 4
