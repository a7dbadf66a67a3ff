"""Histograms: durations counted a bucket at a time land where each would land alone."""

import random
from collections import Counter

import pytest

from storage.counters import BUCKETS_PER_DOUBLING, MINUTE, Moves, bucket_of, counts

DICE = random.Random(7)
BORDERS = [2 ** (number / BUCKETS_PER_DOUBLING) for number in range(-90, 200)]


@pytest.mark.parametrize(
    "durations",
    [
        pytest.param([], id="none"),
        pytest.param([0.0, 1e-9, 0.0009, 0.001, 0.0011], id="the lowest bucket"),
        pytest.param([DICE.lognormvariate(3, 4) for _ in range(500)], id="any"),
        pytest.param([border * (1 + step * 1e-9) for border in BORDERS for step in (-1, 1)], id="beside the borders"),
        pytest.param([7.25] * 448, id="all alike"),
    ],
)
def test_each_duration_is_counted_in_its_bucket(db, durations):
    moves = Moves()
    moves.observe("processing", 125.5, durations)
    db.write(moves.apply, "shard")
    found = db.read(counts, "processing", MINUTE, 0, 3600)
    assert found == {(120, str(bucket)): count for bucket, count in Counter(map(bucket_of, durations)).items()}


def test_what_lies_on_a_border_is_counted_once(db):
    moves = Moves()
    moves.observe("total", 0.0, [*BORDERS, *BORDERS])
    db.write(moves.apply, "shard")
    assert sum(db.read(counts, "total", MINUTE, 0, 60).values()) == 2 * len(BORDERS)
