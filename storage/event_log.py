"""The event log on a Redis stream: all events in order, for every front of every node, trimmed by size.

A base class of RedisMailboxes (redis_mailbox.py), whose settle and feed scripts append to the log themselves. Relies on
scripts/log.lua. A seq is "LOG-MILLISECONDS-NUMBER-NTH": the log's random id, the entry, and the event's position in the
entry. Its width is fixed, so that it also sorts as text.
"""

import re
import secrets
import time
from collections.abc import Sequence
from typing import Any

from engine.mailbox import LogEntry, LogRead
from storage.redis_scripts import RedisStore

TELL_SLICE = 1000
_SEQ = re.compile(r"([0-9a-f]{8})-(\d{13})-(\d{6})-(\d{3})")
_NO_PLACE = ("", "0-0", 0)


class RedisEventLog(RedisStore):
    """Appends, reads and trims. `log_bytes` and `log_entries` limit what is kept; an entry holds up to 100 events."""

    def __init__(
        self, url: str, *, log_bytes: int = 64 * 1024 * 1024, log_entries: int = 200_000, **options: Any
    ) -> None:
        super().__init__(url, **options)
        self._limits = (log_entries, log_bytes)

    def log_args(self) -> list[Any]:
        """Return the leading arguments of scripts/log.lua: an id for a log that begins now, and the limits."""
        return [secrets.token_hex(4), *self._limits]

    def tell(self, events: Sequence[bytes]) -> None:
        """Append events durably; a call repeated after a lost reply may append them twice."""
        for start in range(0, len(events), TELL_SLICE):
            self._run("tell", self.keys.log, [*self.log_args(), *events[start : start + TELL_SLICE]])

    def read_log(self, after: str | None, *, count: int, block: float = 0.0, ended: bool = False) -> LogRead:
        """Implement the contract: up to `count` events, each once, even if a page ends within an entry.

        `gap` is "trimmed" or "another log" (also for an invalid seq); the page then begins with the oldest event kept.
        """
        deadline = time.monotonic() + block
        page = LogRead(last=after) if ended and block > 0 and after is not None else self._read(after, count)
        while not page.entries and page.gap is None:
            left = min(deadline - time.monotonic(), self.BLOCK_PIECE)
            if left <= 0:
                break
            _, entry, _ = _place(page.last)
            self._wait("XREAD", "COUNT", 1, "BLOCK", max(1, int(left * 1000)), "STREAMS", self.keys.log[0], entry)
            page = self._read(page.last, count)
        return page

    def forget_events(self, before: float, limit: int) -> int:
        """Delete up to `limit` entries from before a time (epoch seconds), never the newest one; return how many."""
        return int(self._run("forget_log", self.keys.log, [*self.log_args(), max(0, int(before * 1000)), limit]))

    def log_bounds(self) -> tuple[str, str]:
        """Return the oldest and the newest seq; for an empty log, twice a place that holds no event."""
        log, oldest, newest, events = self._run("log_bounds", self.keys.log, self.log_args())
        return _seq(log, oldest, min(1, events)), _seq(log, newest, events)

    def _read(self, after: str | None, count: int) -> LogRead:
        place = () if after is None else _place(after)
        log, entry, passed, gap, *pages = self._run("read_log", self.keys.log, [*self.log_args(), count, *place])
        entries = []
        for entry_id, skipped, *events in pages:
            begin = _entry(log, entry_id)
            entries += [LogEntry(f"{begin}{nth:03d}", data) for nth, data in enumerate(events, skipped + 1)]
        last = entries[-1].seq if entries else _seq(log, entry, passed)
        return LogRead(entries, last, gap.decode() or None)


def is_seq(text: str) -> bool:
    """Return whether this text has the form of a seq."""
    return _SEQ.fullmatch(text) is not None


def told_at(seq: str) -> float:
    """Return when the event of this seq was appended: seconds since the epoch, by the clock of Redis."""
    return int(seq.split("-")[1]) / 1000


def place_at(seq: str, at: float) -> str:
    """Return the place, in the log of `seq`, before all events from a time (seconds since the epoch) on."""
    return f"{seq.split('-', maxsplit=1)[0]}-{max(0, int(at * 1000)):013d}-000000-000"


def _seq(log: bytes, entry: bytes, nth: int) -> str:
    return f"{_entry(log, entry)}{nth:03d}"


def _entry(log: bytes, entry: bytes) -> str:
    """Return the part of a seq that all events of an entry share."""
    milliseconds, _, number = entry.decode().partition("-")
    return f"{log.decode()}-{int(milliseconds):013d}-{int(number):06d}-"


def _place(seq: str) -> tuple[str, str, int]:
    """Split a seq into log id, entry and the number of its events passed; an invalid one gives a place in no log."""
    match = _SEQ.fullmatch(seq)
    if match is None:
        return _NO_PLACE
    return match[1], f"{int(match[2])}-{int(match[3])}", int(match[4])
