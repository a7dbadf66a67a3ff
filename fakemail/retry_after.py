"""What a Retry-After header says (RFC 9110, 10.2.3): read for FakeMail's answers (answers.py) and for subscribers' (actors/posting.py).

Pure; each caller holds the answer within bounds of its own.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"\s*([+-]?[0-9]{1,400})(?:\.[0-9]*)?\s*\Z", re.ASCII)


def read_retry_after(value: str, now: float) -> float | None:
    """Seconds from `now` (since the epoch) on, below 0 for a date gone by; whole seconds or an HTTP date, None for anything else."""
    if match := _SECONDS.match(value):
        return float(match[1])
    try:
        moment: datetime = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
