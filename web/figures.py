"""`/stats` and `/stats/timeseries`: figures of all nodes together, from SQL, mailboxes and processes' heartbeats.

Readers at the same time share one query, and nobody gets figures older than their request; WebSocket clients get the
same figures. The cost does not grow with the number of emails: counters are summed, and mailboxes report their depths.
"""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from actors.bodies import CLASSIFY, fetch_mailbox
from engine import clock
from engine.mailbox import LANES, MAIN, Depth
from engine.timestamps import timestamp
from storage.records import LABELS, Stats
from storage.stats import STEPS
from web.cached import Shared
from web.dispatch import Call
from web.problems import misfit
from web.schemas_system import TimeseriesQuery
from web.services import Services
from web.validation import FIRST_SECOND, read_time

MOST_BUCKETS = 3_000
DEFAULT_SPAN_S = {"minute": 3600.0, "hour": 86_400.0}
QUEUE_FIELDS = ("queue_depth", "queue_depth_by_priority", "oldest_queued_age_seconds")
RESTLESS = ("uptime_seconds", "oldest_queued_age_seconds")
"""Figures that change all the time: no reason to send an update."""

Depths = Mapping[str, Mapping[str, Depth]]


class Figures:
    """The newest figures, computed once for all who wait for them."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._stats = Shared(self._make)
        self._of_source: dict[str, Shared[dict[str, Any]]] = {}

    def stats(self) -> dict[str, Any]:
        """Return the figures of /stats; raises DependencyTrouble."""
        return self._stats.get()

    def of_source(self, source: str) -> dict[str, Any]:
        """Return the figures of one source, whose name web/sources.py has checked."""
        if source not in self._of_source:
            self._of_source[source] = Shared(partial(self._make_of, source))
        return self._of_source[source].get()

    def _make(self) -> dict[str, Any]:
        services = self.services
        stored = services.results.stats(clock.now())
        depths = {name: services.mailboxes.depths(name) for name in (*map(fetch_mailbox, services.sources), CLASSIFY)}
        waiting = stored.queued + stored.retrying
        return self._answer(stored, by_priority(waiting, depths), oldest_age(depths) if waiting else None)

    def _make_of(self, source: str) -> dict[str, Any]:
        """Compute the figures of one source. The classifiers' mailbox is shared, so the books say what waits."""
        now = clock.now()
        stored = self.services.results.source_stats(source, now)
        oldest = None if stored.oldest_listed_at is None else round(max(0.0, now - stored.oldest_listed_at), 3)
        return {**self._answer(stored, stored.open_by_lane, oldest), "source": source}

    def _answer(self, stored: Stats, lanes: Mapping[str, int], oldest: float | None) -> dict[str, Any]:
        services = self.services
        workers = _workers(services.mailboxes.alive())
        known = {name: at for name, at in stored.last_history_id.items() if at}
        return {
            "total_emails_processed": stored.total_emails_processed,
            "emails_by_classification": stored.emails_by_classification,
            "avg_processing_time_ms": _rounded(stored.avg_processing_time_ms),
            "min_processing_time_ms": _rounded(stored.min_processing_time_ms),
            "max_processing_time_ms": _rounded(stored.max_processing_time_ms),
            "p50_processing_time_ms": _rounded(stored.p50_processing_time_ms),
            "p95_processing_time_ms": _rounded(stored.p95_processing_time_ms),
            "p99_processing_time_ms": _rounded(stored.p99_processing_time_ms),
            "success_rate": _rounded(stored.success_rate),
            "error_count": stored.error_count,
            "retry_count": stored.retry_count,
            "dead_letters": stored.dead_letters,
            "queue_depth": stored.queued + stored.retrying,
            "queue_depth_by_priority": lanes,
            "oldest_queued_age_seconds": oldest,
            "emails_per_minute": round(stored.emails_per_minute, 2),
            "last_history_id": known.get(MAIN, next(iter(known.values()), None)),
            "last_history_ids": known,
            "last_processed_at": timestamp(stored.last_processed_at),
            **workers,
            "paused": services.paused,
            "uptime_seconds": round(time.time() - services.started_at, 1),
        }


def queue_of(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the figures that a `queue` message carries."""
    return {name: stats[name] for name in QUEUE_FIELDS}


def settled(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures without those that change all the time: if the rest is equal, nothing need be sent."""
    return {name: value for name, value in figures.items() if name not in RESTLESS}


def by_priority(total: int, depths: Depths) -> dict[str, int]:
    """Return what waits, by lane. What is not in a mailbox waits in the books, behind the lowest lane in use."""
    found = {lane: sum(lanes[lane].messages for lanes in depths.values()) for lane in LANES}
    behind = next((lane for lane in reversed(LANES) if found[lane]), "normal")
    found[behind] += max(0, total - sum(found.values()))
    for lane in LANES:  # the books were counted a moment earlier, and a canary in the high lane is no email
        found[lane] -= min(found[lane], max(0, sum(found.values()) - total))
    return found


def oldest_age(depths: Depths) -> float | None:
    """Return how long the oldest message has waited, or None if nothing waits."""
    ages = [depth.oldest_age for lanes in depths.values() for depth in lanes.values() if depth.messages]
    return round(max(ages), 3) if ages else None


def _workers(alive: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    workers = sum(int(info.get("workers") or 0) for info in alive.values())
    busy = sum(int(info.get("busy") or 0) for info in alive.values())
    nodes = len({info.get("node") for info in alive.values()})
    return {"busy_workers": busy, "available_workers": max(0, workers - busy), "nodes": nodes}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def stats(call: Call) -> dict[str, Any]:
    """Return the figures of all nodes together, or with `source` those of one account.

    Averages, percentiles and the like are null before the first email.
    """
    source: str | None = call.query.source
    return call.app.figures.stats() if source is None else call.app.figures.of_source(source)


def timeseries(call: Call) -> dict[str, Any]:
    """Count the processed emails of all sources per class in UTC buckets; a bucket without emails has zeros."""
    query: TimeseriesQuery = call.query
    if query.source is not None and len(call.services.books.sources()) > 1:
        raise misfit("source", "counts over time are kept for all sources together; /stats has each by itself", 400)
    step = STEPS[query.step]
    end = read_time("to", query.end)
    end = clock.now() if end is None else end
    start = read_time("from", query.start)
    start = max(FIRST_SECOND, end - DEFAULT_SPAN_S[query.step]) if start is None else start
    if start > end:
        raise misfit("from", "must not be later than to", 400)
    if (end - start) / step > MOST_BUCKETS:
        raise misfit("from", f"more than {MOST_BUCKETS} buckets; use step=hour or a shorter period", 400)
    buckets = call.services.results.timeseries(start, end, query.step)
    return {
        "step": query.step,
        "from": timestamp(start),
        "to": timestamp(end),
        "buckets": [bucket_item(bucket) for bucket in buckets],
    }


def bucket_item(bucket: Mapping[str, Any]) -> dict[str, Any]:
    """Return one bucket of a series."""
    counts = {label: int(bucket[label]) for label in LABELS}
    return {"at": timestamp(bucket["start"]), "total": sum(counts.values()), "counts": counts}
