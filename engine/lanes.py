"""How often each lane is read: the rules that every mailbox store follows.

Pure functions, called by storage/redis_mailbox.py and by the in-memory mailboxes of the tests.
"""

from engine.mailbox import LANE_WEIGHTS, LANES


def _spread() -> tuple[str, ...]:
    """Return one round of lanes, each as often as its weight, spread evenly (smooth weighted round-robin)."""
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

QUARANTINE_TURN_S = 2.0
"""How long (seconds) a process works on quarantined messages at a stretch; its other lanes then get as long."""


def quotas(count: int, turn: int) -> dict[str, int]:
    """Return how many of `count` messages each lane may give, after `turn` messages have been asked for.

    Over any len(ROUND) messages the weights hold exactly, so that even a reader of single messages starves no lane.
    The store gives a lane's unused share to the most urgent lane that has more.
    """
    rounds, rest = divmod(count, len(ROUND))
    given = {lane: rounds * LANE_WEIGHTS[lane] for lane in LANES}
    for at in range(turn, turn + rest):
        given[ROUND[at % len(ROUND)]] += 1
    return given
