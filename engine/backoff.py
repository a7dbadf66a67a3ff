"""How long to wait after a failure: the one formula for every back-off. Pure, except for the jitter."""

import random

_RANDOM = random.Random()


def backoff(attempt: int, *, base: float, cap: float, rng: random.Random | None = None) -> float:
    """Return the seconds to wait after failure number `attempt` (from 1): doubles from `base` to `cap`, half is random.

    Equal jitter never waits less than half, so a dependency that is down is left alone, and callers do not return in
    step.
    """
    whole = min(cap, base * 2.0 ** min(max(attempt, 1) - 1, 32))
    return whole * (0.5 + (rng or _RANDOM).random() / 2)
