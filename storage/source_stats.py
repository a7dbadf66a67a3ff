"""The figures of /stats for a single source, counted from its rows.

Counters are kept for all sources together, so that an email costs the same with one account as with twenty. The figures
of one source are therefore counted on request from its rows in the books and its results, and the time grows with
their number. Called by ResultStore inside one snapshot.
"""

import math
from collections.abc import Sequence
from typing import Any

from engine.mailbox import LANES
from storage import sources
from storage.records import LABELS, BookState, SourceStats
from storage.statements import execute

NEWEST = 1_000
"""How many of the newest results, at most, the percentiles are taken from."""


def source_stats(name: str, now: float, window: float) -> SourceStats:
    """Return the part of /stats that comes from SQL for one source. Raises LookupError if it does not exist."""
    source = sources.find(name)
    rows = execute(
        "SELECT label, COUNT(*), SUM(processing_ms), MIN(processing_ms), MAX(processing_ms), MAX(processed_at), "
        "SUM(CASE WHEN processed_at > ? THEN 1 ELSE 0 END) FROM result WHERE source = ? GROUP BY label",
        [now - 60, source.id],
    )
    by_label = dict.fromkeys(LABELS, 0) | {LABELS[row[0]]: int(row[1]) for row in rows}
    total = sum(by_label.values())
    states = dict(execute("SELECT state, COUNT(*) FROM book WHERE source = ? GROUP BY state", [source.id]))
    dead, discarded = int(states.get(BookState.DEAD, 0)), int(states.get(BookState.DISCARDED, 0))
    lanes = execute(
        "SELECT lane, COUNT(*), SUM(CASE WHEN next_attempt_at IS NULL THEN 0 ELSE 1 END), MIN(listed_at) "
        f"FROM book WHERE state = {BookState.OPEN} AND source = ? GROUP BY lane",
        [source.id],
    )
    retrying = sum(int(row[2]) for row in lanes)
    newest = _newest(source.id, now - window)
    ended = total + dead + discarded
    return SourceStats(
        total_emails_processed=total,
        emails_by_classification=by_label,
        avg_processing_time_ms=sum(row[2] for row in rows) / total if total else None,
        min_processing_time_ms=min((row[3] for row in rows), default=None),
        max_processing_time_ms=max((row[4] for row in rows), default=None),
        p50_processing_time_ms=_at(newest, 0.50),
        p95_processing_time_ms=_at(newest, 0.95),
        p99_processing_time_ms=_at(newest, 0.99),
        success_rate=100 * total / ended if ended else None,
        error_count=None,
        retry_count=None,
        dead_letters=dead,
        queued=sum(int(row[1]) for row in lanes) - retrying,
        retrying=retrying,
        emails_per_minute=float(sum(int(row[6]) for row in rows)),
        last_processed_at=max((row[5] for row in rows), default=None),
        last_history_id={source.name: source.cursor},
        open_by_lane=dict.fromkeys(LANES, 0) | {LANES[row[0]]: int(row[1]) for row in lanes},
        oldest_listed_at=min((row[3] for row in lanes), default=None),
    )


def _newest(source_id: int, since: float) -> list[float]:
    """Return the processing times of the newest results since a time, in ascending order."""
    rows: Sequence[tuple[Any, ...]] = execute(
        "SELECT processing_ms, processed_at FROM result WHERE source = ? ORDER BY id DESC LIMIT ?", [source_id, NEWEST]
    )
    return sorted(float(row[0]) for row in rows if row[1] > since)


def _at(rising: Sequence[float], share: float) -> float | None:
    return rising[max(0, math.ceil(share * len(rising)) - 1)] if rising else None
