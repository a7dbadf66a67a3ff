"""Reads Retry-After headers (RFC 9110, 10.2.3) from FakeMail (answers.py) and from subscribers (actors/posting.py).

Pure; each caller applies its own bounds to the result.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"\s*([+-]?[0-9]{1,400})(?:\.[0-9]*)?\s*\Z", re.ASCII)


def read_retry_after(value: str, now: float) -> float | None:
    """Return the seconds from `now` (since the epoch), negative for a date in the past.

    The header has seconds (a fraction is dropped) or an HTTP date; anything else gives None.
    """
    if match := _SECONDS.match(value):
        return float(match[1])
    try:
        moment: datetime = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
