"""The figures of /stats and /stats/timeseries, from counters alone: the cost does not grow with the number of emails.

Called by ResultStore inside one snapshot.
"""

import math
from collections import defaultdict
from typing import Any

from storage.counters import HOUR, MINUTE, counts, percentile, totals
from storage.records import LABELS, Stats
from storage.statements import execute

STEPS = {"minute": MINUTE, "hour": HOUR}
"""The length in seconds of each step that a time series may have."""

WINDOW = 300
"""The seconds over which percentiles are taken."""


def stats(now: float) -> Stats:
    """Return the part of /stats that comes from SQL."""
    counted = totals()
    by_label = {label: int(counted.get(("emails", label), 0)) for label in LABELS}
    total = sum(by_label.values())
    sources = execute("SELECT name, cursor, listed FROM source ORDER BY id")
    buried = {name: int(counted.get((name, ""), 0)) for name in ("dead", "discarded", "erased")}
    retrying = int(counted.get(("retrying", ""), 0))
    listed = sum(int(each[2]) for each in sources)
    ended = total + buried["dead"] + buried["discarded"]
    histogram = _histogram("processing", now)
    least, most = counted.get(("min_processing_ms", "")), counted.get(("max_processing_ms", ""))
    return Stats(
        total_emails_processed=total,
        emails_by_classification=by_label,
        avg_processing_time_ms=counted[("processing_ms", "")] / total if total else None,
        min_processing_time_ms=least,
        max_processing_time_ms=most,
        p50_processing_time_ms=_within(least, percentile(histogram, 0.50), most),
        p95_processing_time_ms=_within(least, percentile(histogram, 0.95), most),
        p99_processing_time_ms=_within(least, percentile(histogram, 0.99), most),
        success_rate=100 * total / ended if ended else None,
        error_count=int(counted.get(("errors", ""), 0)),
        retry_count=int(counted.get(("retries", ""), 0)),
        dead_letters=buried["dead"],
        queued=listed - total - sum(buried.values()) - retrying,
        retrying=retrying,
        emails_per_minute=_per_minute(now),
        last_processed_at=counted.get(("last_processed_at", "")),
        last_history_id={name: int(cursor) for name, cursor, _ in sources},
    )


def _within(least: float | None, value: float | None, most: float | None) -> float | None:
    """Clamp a percentile to what was measured: the histogram is exact only to about 5 %."""
    return value if value is None or least is None or most is None else max(least, min(value, most))


def timeseries(start: float, end: float, step: str) -> list[dict[str, Any]]:
    """Count emails by class in each UTC minute or hour that overlaps start <= t < end, including empty ones."""
    seconds = STEPS[step]
    first = int(start // seconds) * seconds
    found = counts("emails", seconds, first, end)
    times = range(first, math.ceil(end), seconds)
    return [{"start": at, **{label: found.get((at, label), 0) for label in LABELS}} for at in times]


def _histogram(name: str, now: float) -> dict[int, int]:
    histogram: defaultdict[int, int] = defaultdict(int)
    for (_, label), count in counts(name, MINUTE, now - WINDOW, now + MINUTE).items():
        histogram[int(label)] += count
    return dict(histogram)


def _per_minute(now: float) -> float:
    """Return the emails of the last 60 s: this minute's, and a proportional share of the previous minute's."""
    this = int(now // MINUTE) * MINUTE
    found: defaultdict[int, int] = defaultdict(int)
    for (at, _), count in counts("emails", MINUTE, this - MINUTE, this + MINUTE).items():
        found[at] += count
    return round(found[this] + found[this - MINUTE] * (1 - (now - this) / MINUTE), 2)
