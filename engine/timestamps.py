"""Timestamps as the outside world sees them: RFC 3339 in UTC, with milliseconds and `Z`.

The event log, all responses and the logs format their times here; web/validation.py parses what clients send.
"""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=1024)
def timestamp(at: float | None) -> str | None:
    """Format seconds since the epoch as `2026-01-31T12:00:00.123Z`. Truncates: nothing has happened later than now.

    A float may be off by a fraction of a microsecond, so it is first rounded to microseconds: .123 does not become
    .122.
    """
    if at is None:
        return None
    second, millisecond = divmod(round(at * 1e6) // 1000, 1000)
    return f"{_second(second)}.{millisecond:03d}Z"


@lru_cache(maxsize=1024)
def _second(at: int) -> str:
    """Format a whole second; cached, since under load thousands of timestamps share one second."""
    return datetime.fromtimestamp(at, UTC).isoformat().removesuffix("+00:00")
