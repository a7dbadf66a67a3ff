"""How much a pump takes and how soon: the rules alone, with simulated times."""

from engine.mailbox import Delivery, Envelope
from engine.pace import BRISK_S, REST_S, SMALLER, Pace


def some(count: int, lane: str = "normal", size: int = 10) -> list[Delivery]:
    """Return deliveries from one lane."""
    envelope = Envelope(source="s", key="k", body=b"")
    return [Delivery("mailbox", lane, f"0-{nth + 1}", envelope, size) for nth in range(count)]


def test_big_batches_come_two_at_a_time_and_without_a_rest():
    pace = Pace(100, 1_000_000)

    pace.took(some(50), 100, began=1.0, now=1.0)
    pace.finished(2.0)

    assert pace.ahead() == 2
    assert pace.rest(2.0) <= 0


def test_few_messages_that_fill_the_bytes_are_a_big_batch_too():
    pace = Pace(100, 1_000)

    pace.took(some(2, size=250), 100, began=1.0, now=1.0)

    assert pace.ahead() == 2


def test_after_a_small_batch_messages_gather_as_long_as_it_took_but_not_for_long():
    pace = Pace(100, 1_000_000)
    pace.took(some(3), 100, began=1.0, now=1.0)
    assert pace.ahead() == 1

    pace.finished(1.002)
    assert 0.002 < pace.rest(1.002) < REST_S

    pace.took(some(3), 100, began=2.0, now=2.0)
    pace.finished(2.9)
    assert 0 < pace.rest(2.9) <= REST_S + 1e-9
    assert pace.rest(3.0) <= 0


def test_urgent_messages_among_others_make_batches_smaller_for_a_while():
    pace = Pace(100, 1_000_000)
    pace.took(some(60, "low"), 100, began=1.0, now=1.0)
    assert pace.count(1.0) == 100

    pace.took(some(1, "high") + some(60, "low"), 100, began=2.0, now=2.0)

    assert pace.count(2.1) == 100 // SMALLER
    assert pace.count(2.0 + BRISK_S) == 100


def test_urgent_messages_alone_do_not():
    pace = Pace(100, 1_000_000)

    pace.took(some(30, "high") + some(30, "normal"), 100, began=1.0, now=1.0)

    assert pace.count(1.1) == 100
