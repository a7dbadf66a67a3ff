"""Counters that move in the transaction of what they count, in shards by writer, in a fixed order; summed when they are read.

Moved by whoever changes the books (results.py, retries.py, dead_letters.py, sources.py, labels.py, reprocessing.py, erasing.py), read by
stats.py. A process moves only its own shard, so writers do not wait for each other; shards of processes that are gone become one
(folding.py). Histograms have logarithmic buckets, eight to a doubling, within one minute.
"""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable

from storage.models import BucketRow, CounterRow
from storage.statements import execute, insert

MINUTE, HOUR = 60, 3600

LEAST, GREATEST = "min_processing_ms", ("max_processing_ms", "last_processed_at")
"""Counters that keep the least or the greatest value told, where others keep the sum."""

HISTOGRAMS = ("processing", "total")

BUCKETS_PER_DOUBLING = 8

_ADD = "value = counter.value + excluded.value"
_LEAST = "value = CASE WHEN excluded.value < counter.value THEN excluded.value ELSE counter.value END"
_GREATEST = "value = CASE WHEN excluded.value > counter.value THEN excluded.value ELSE counter.value END"


class Moves:
    """What one transaction moves; `apply` writes it."""

    def __init__(self) -> None:
        self._sums: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._extremes: dict[str, float] = {}
        self._buckets: defaultdict[tuple[int, int, str, str], int] = defaultdict(int)

    def add(self, name: str, delta: float, label: str = "") -> None:
        """Move a sum."""
        self._sums[name, label] += delta

    def least(self, value: float) -> None:
        """Tell a value to the counter that keeps the least."""
        self._extremes[LEAST] = min(value, self._extremes.get(LEAST, value))

    def greatest(self, name: str, value: float) -> None:
        """Tell a value to a counter that keeps the greatest."""
        self._extremes[name] = max(value, self._extremes.get(name, value))

    def again(self, name: str, label: str, value: float) -> None:
        """Move what another shard's counter of that name and label holds."""
        if name == LEAST:
            self.least(value)
        elif name in GREATEST:
            self.greatest(name, value)
        else:
            self.add(name, value, label)

    def email(self, at: float, label: str, delta: int = 1) -> None:
        """Count an email of a class: in all, in its minute and in its hour."""
        self._sums["emails", label] += delta
        for step in (MINUTE, HOUR):
            self.within(step, int(at // step) * step, label, delta)

    def relabel(self, at: float, before: str, after: str) -> None:
        """Move an email from one class to another, which may be the same."""
        if before != after:
            self.email(at, before, -1)
            self.email(at, after)

    def within(self, step: int, start: int, label: str, delta: int) -> None:
        """Count emails of a class in the minute or hour (`step`) from `start` alone."""
        self._buckets[step, start, "emails", label] += delta

    def emails(self, at: float, labels: Iterable[str]) -> None:
        """Count the classes of emails of one minute, in which `at` lies."""
        for label, count in Counter(labels).items():
            self.email(at, label, count)

    def observe(self, name: str, at: float, durations: Iterable[float]) -> None:
        """Put durations (milliseconds) into the histogram of one minute, in which `at` lies.

        In their order a whole bucket of them is counted at once: they are many, and their buckets few.
        """
        ordered = sorted(durations)
        first = 0
        while first < len(ordered):
            bucket = bucket_of(ordered[first])
            end = max(first + 1, bisect_left(ordered, 2 ** ((bucket + 1) / BUCKETS_PER_DOUBLING)))
            self._buckets[MINUTE, int(at // MINUTE) * MINUTE, name, str(bucket)] += end - first
            first = end

    def apply(self, shard: str) -> None:
        """Write all moves of this shard, sorted, so that two writers can never wait for each other in a circle."""
        sums = [(name, label, shard, value) for (name, label), value in sorted(self._sums.items()) if value]
        _upsert(sums, _ADD)
        _upsert([(LEAST, "", shard, self._extremes[LEAST])] if LEAST in self._extremes else [], _LEAST)
        _upsert([(name, "", shard, self._extremes[name]) for name in GREATEST if name in self._extremes], _GREATEST)
        insert(
            BucketRow,
            ("step", "start", "name", "label", "shard", "value"),
            [(*key, shard, value) for key, value in sorted(self._buckets.items()) if value],
            "ON CONFLICT (step, name, start, label, shard) DO UPDATE SET value = bucket.value + excluded.value",
        )


def _upsert(rows: list[tuple[str, str, str, float]], change: str) -> None:
    tail = f"ON CONFLICT (name, label, shard) DO UPDATE SET {change}"
    insert(CounterRow, ("name", "label", "shard", "value"), rows, tail)


def totals() -> dict[tuple[str, str], float]:
    """All counters over all shards: (name, label) → value."""
    rows = execute("SELECT name, label, SUM(value), MIN(value), MAX(value) FROM counter GROUP BY name, label")
    return {
        (name, label): least if name == LEAST else greatest if name in GREATEST else total
        for name, label, total, least, greatest in rows
    }


def counts(name: str, step: int, start: float, end: float) -> dict[tuple[int, str], int]:
    """Counts in buckets that begin in start <= t < end: (start, label) → value."""
    rows = execute(
        "SELECT start, label, SUM(value) FROM bucket WHERE step = ? AND name = ? AND start >= ? AND start < ? "
        "GROUP BY start, label",
        [step, name, math.ceil(start), math.ceil(end)],
    )
    return {(at, label): int(value) for at, label, value in rows}


def bucket_of(milliseconds: float) -> int:
    """Give the number of a duration's bucket; everything under a microsecond shares the lowest."""
    return math.floor(math.log2(max(milliseconds, 0.001)) * BUCKETS_PER_DOUBLING)


def percentile(histogram: dict[int, int], share: float) -> float | None:
    """Give the duration (ms) under which `share` of a histogram lies, to about 5 %; None for an empty one."""
    left = share * sum(histogram.values())
    for number in sorted(histogram):
        left -= histogram[number]
        if left <= 0:
            return float(2 ** ((number + 0.5) / BUCKETS_PER_DOUBLING))
    return None


def forget_histograms(before: float) -> int:
    """Forget the histograms of minutes before a time; how many rows went. Emails by class are kept longer (retention.py)."""
    sql = "DELETE FROM bucket WHERE step = ? AND name = ? AND start < ? RETURNING step"
    return sum(len(execute(sql, [MINUTE, name, int(before)])) for name in HISTOGRAMS)
