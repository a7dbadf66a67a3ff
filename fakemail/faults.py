"""The faults that the simulator can produce, set by `PUT /simulator/faults` and kept until the next start.

The first group affects the five FakeMail calls (never the control calls), the second the visibility of new emails, the
third the notifications. Used by the simulator, its notifier and its HTTP side; the random generator is passed in.
"""

import random
from typing import Annotated

import msgspec

Rate = Annotated[float, msgspec.Meta(ge=0, le=1, description="a chance from 0 to 1")]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]

# Each of these is nonsense as an answer to any call: a watch, a listing or one email.
GARBAGE = (
    b"<!doctype html><html><title>Bad gateway</title><p>Please try again later.</html>",
    b'{"history_id": 4',
    b'{"history_id": NaN, "emails": NaN, "id": NaN}',
    b'[17, {"id": null}, [[]]]',
    b'{"history_id": "forty-one", "emails": {"id": 3}, "id": ["x"], "subject": {}}',
    b"",
    b"\xff\xfe\x00garbage",
)


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every fault is off by default, and off again if its field is not sent."""

    latency_ms: Milliseconds = 0
    error_rate: Rate = 0.0
    rate_limit_rate: Rate = 0.0
    garbage_rate: Rate = 0.0
    hang: bool = False

    late_visibility_ms: Milliseconds = 0
    gap_rate: Rate = 0.0
    gap_ms: Milliseconds = 5000

    drop_rate: Rate = 0.0
    duplicate_rate: Rate = 0.0
    delay_rate: Rate = 0.0
    delay_ms: Milliseconds = 2000
    reorder_rate: Rate = 0.0

    def answer(self, dice: random.Random) -> str | None:
        """Return the fault of this call: `error`, `rate_limit`, `garbage` or None."""
        for kind, rate in (
            ("error", self.error_rate),
            ("rate_limit", self.rate_limit_rate),
            ("garbage", self.garbage_rate),
        ):
            if rate and dice.random() < rate:
                return kind
        return None

    def invisible_s(self, dice: random.Random) -> float:
        """Return for how many seconds a new email is neither listed nor found, although it is announced."""
        late = self.late_visibility_ms
        if self.gap_rate and dice.random() < self.gap_rate:
            late += self.gap_ms
        return late / 1000

    def deliveries_s(self, dice: random.Random) -> list[float]:
        """Return the delay in seconds of each copy of a notification: one, two or none."""
        if self.drop_rate and dice.random() < self.drop_rate:
            return []
        delay = 0.0
        if self.delay_rate and dice.random() < self.delay_rate:
            delay = self.delay_ms / 1000
        if self.reorder_rate and dice.random() < self.reorder_rate:
            delay += dice.uniform(0.05, 0.5)  # long enough for a later one to overtake it
        copies = 2 if self.duplicate_rate and dice.random() < self.duplicate_rate else 1
        return [delay] * copies


NONE = Faults()
