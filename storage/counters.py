"""Counters, updated in the same transaction as what they count, sharded by writer and summed on reading.

Updated by results.py, retries.py, dead_letters.py, sources.py, labels.py, reprocessing.py and erasing.py, and read by
stats.py. Each process has shards of its own (corrections and reprocessing share one each), so that writers rarely wait
for each other; folding.py merges the shards of processes that are gone. Histograms cover one minute each, with
logarithmic buckets, eight per doubling.
"""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable

from storage.models import BucketRow, CounterRow
from storage.statements import execute, insert

MINUTE, HOUR = 60, 3600

LEAST, GREATEST = "min_processing_ms", ("max_processing_ms", "last_processed_at")
"""Counters that keep a minimum or a maximum; all others keep a sum."""

HISTOGRAMS = ("processing", "total")

BUCKETS_PER_DOUBLING = 8

_ADD = "value = counter.value + excluded.value"
_LEAST = "value = CASE WHEN excluded.value < counter.value THEN excluded.value ELSE counter.value END"
_GREATEST = "value = CASE WHEN excluded.value > counter.value THEN excluded.value ELSE counter.value END"


class Moves:
    """Collects the counter changes of one transaction; `apply` writes them."""

    def __init__(self) -> None:
        self._sums: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._extremes: dict[str, float] = {}
        self._buckets: defaultdict[tuple[int, int, str, str], int] = defaultdict(int)

    def add(self, name: str, delta: float, label: str = "") -> None:
        """Add to a sum."""
        self._sums[name, label] += delta

    def least(self, value: float) -> None:
        """Offer a value to the minimum counter."""
        self._extremes[LEAST] = min(value, self._extremes.get(LEAST, value))

    def greatest(self, name: str, value: float) -> None:
        """Offer a value to a maximum counter."""
        self._extremes[name] = max(value, self._extremes.get(name, value))

    def again(self, name: str, label: str, value: float) -> None:
        """Merge in the value of another shard's counter of this name and label."""
        if name == LEAST:
            self.least(value)
        elif name in GREATEST:
            self.greatest(name, value)
        else:
            self.add(name, value, label)

    def email(self, at: float, label: str, delta: int = 1) -> None:
        """Count an email of a class in the total, in its minute and in its hour."""
        self._sums["emails", label] += delta
        for step in (MINUTE, HOUR):
            self.within(step, int(at // step) * step, label, delta)

    def relabel(self, at: float, before: str, after: str) -> None:
        """Move an email from one class to another; do nothing if they are the same."""
        if before != after:
            self.email(at, before, -1)
            self.email(at, after)

    def within(self, step: int, start: int, label: str, delta: int) -> None:
        """Count emails of a class only in the minute or hour (`step`) that begins at `start`."""
        self._buckets[step, start, "emails", label] += delta

    def emails(self, at: float, labels: Iterable[str]) -> None:
        """Count emails, one for each label, that all fall in the minute of `at`."""
        for label, count in Counter(labels).items():
            self.email(at, label, count)

    def observe(self, name: str, at: float, durations: Iterable[float]) -> None:
        """Add durations (milliseconds) to the histogram of the minute of `at`.

        Sorting them lets a whole bucket be counted at once: there are many durations and few buckets.
        """
        ordered = sorted(durations)
        first = 0
        while first < len(ordered):
            bucket = bucket_of(ordered[first])
            end = max(first + 1, bisect_left(ordered, 2 ** ((bucket + 1) / BUCKETS_PER_DOUBLING)))
            self._buckets[MINUTE, int(at // MINUTE) * MINUTE, name, str(bucket)] += end - first
            first = end

    def apply(self, shard: str) -> None:
        """Write all changes to this shard, in sorted order, so that two writers cannot deadlock."""
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
    """Return all counters over all shards: (name, label) → value."""
    rows = execute("SELECT name, label, SUM(value), MIN(value), MAX(value) FROM counter GROUP BY name, label")
    return {
        (name, label): least if name == LEAST else greatest if name in GREATEST else total
        for name, label, total, least, greatest in rows
    }


def counts(name: str, step: int, start: float, end: float) -> dict[tuple[int, str], int]:
    """Return the counts of buckets that begin in start <= t < end: (start, label) → value."""
    rows = execute(
        "SELECT start, label, SUM(value) FROM bucket WHERE step = ? AND name = ? AND start >= ? AND start < ? "
        "GROUP BY start, label",
        [step, name, math.ceil(start), math.ceil(end)],
    )
    return {(at, label): int(value) for at, label, value in rows}


def bucket_of(milliseconds: float) -> int:
    """Return the number of a duration's bucket; all below a microsecond share the lowest."""
    return math.floor(math.log2(max(milliseconds, 0.001)) * BUCKETS_PER_DOUBLING)


def percentile(histogram: dict[int, int], share: float) -> float | None:
    """Return the duration (ms) below which `share` of a histogram falls, to about 5 %; None for an empty one."""
    left = share * sum(histogram.values())
    for number in sorted(histogram):
        left -= histogram[number]
        if left <= 0:
            return float(2 ** ((number + 0.5) / BUCKETS_PER_DOUBLING))
    return None


def forget_histograms(before: float) -> int:
    """Delete histograms of minutes before a time; return how many rows. Email counts are kept longer (retention.py)."""
    sql = "DELETE FROM bucket WHERE step = ? AND name = ? AND start < ? RETURNING step"
    return sum(len(execute(sql, [MINUTE, name, int(before)])) for name in HISTOGRAMS)
