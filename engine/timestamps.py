"""Moments as everybody outside reads them: RFC 3339 in UTC, with milliseconds and `Z`.

The one place where they are written, for the event log, every answer and the logs; web/validation.py reads what clients send.
"""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=1024)
def timestamp(at: float | None) -> str | None:
    """Seconds since the epoch → `2026-01-31T12:00:00.123Z`. Cut, never rounded up: nothing has happened later than now.

    A float is a fraction of a microsecond away from what was meant, so it is rounded there first: .123 is not told as .122.
    """
    if at is None:
        return None
    second, millisecond = divmod(round(at * 1e6) // 1000, 1000)
    return f"{_second(second)}.{millisecond:03d}Z"


@lru_cache(maxsize=1024)
def _second(at: int) -> str:
    """Shared by the moments of one second, of which there are thousands when it matters."""
    return datetime.fromtimestamp(at, UTC).isoformat().removesuffix("+00:00")
