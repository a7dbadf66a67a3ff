"""Which lane is read how often: the rules that every mailbox store follows.

Called by storage/redis_mailbox.py and the mailboxes in memory of the tests; pure functions.
"""

from engine.mailbox import LANE_WEIGHTS, LANES


def _spread() -> tuple[str, ...]:
    """One round of lanes, each as often as it weighs, spread evenly (the smooth weighted round-robin)."""
    total = sum(LANE_WEIGHTS.values())
    credit = dict.fromkeys(LANES, 0)
    order = []
    for _ in range(total):
        for lane in LANES:
            credit[lane] += LANE_WEIGHTS[lane]
        chosen = max(LANES, key=credit.__getitem__)
        credit[chosen] -= total
        order.append(chosen)
    return tuple(order)


ROUND = _spread()

TURN_S = 2.0
"""Seconds that a process gives to quarantined messages at a stretch, before its other lanes go on for as long."""


def quotas(count: int, turn: int) -> dict[str, int]:
    """How many of `count` messages each lane may give, when `turn` messages were asked for before.

    Over any len(ROUND) messages the weights hold exactly, so that even a reader of single messages starves no lane. What a
    lane does not use goes to the most urgent one that has more.
    """
    rounds, rest = divmod(count, len(ROUND))
    given = {lane: rounds * LANE_WEIGHTS[lane] for lane in LANES}
    for at in range(turn, turn + rest):
        given[ROUND[at % len(ROUND)]] += 1
    return given
