"""How long to wait after a failure: the one formula, for everybody who backs off. Pure, but for the dice."""

import random

_RANDOM = random.Random()


def backoff(attempt: int, *, base: float, cap: float, rng: random.Random | None = None) -> float:
    """Seconds to wait after failure number `attempt` (from 1): doubles from `base` up to `cap`, half of it random.

    Equal jitter: never less than half, so a dependency that is down is left alone, and callers do not come back in step.
    """
    whole = min(cap, base * 2.0 ** min(max(attempt, 1) - 1, 32))
    return whole * (0.5 + (rng or _RANDOM).random() / 2)
