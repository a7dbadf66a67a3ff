import random

import pytest

from fakemail.breaker import CircuitBreaker, Permit, Refused


class Fixed(random.Random):
    """Always draws the same number."""

    def __init__(self, drawn: float) -> None:
        super().__init__()
        self.drawn = drawn

    def random(self) -> float:
        return self.drawn


def breaker(threshold: int = 3) -> CircuitBreaker:
    return CircuitBreaker(threshold=threshold, base_s=1.0, cap_s=4.0, rng=Fixed(1.0))


def fail(circuit: CircuitBreaker, now: float, *keys: str | None) -> None:
    for key in keys:
        circuit.failure(circuit.admit(now), now, key=key)


def refusal(circuit: CircuitBreaker, now: float) -> Refused:
    with pytest.raises(Refused) as caught:
        circuit.admit(now)
    return caught.value


def test_it_opens_after_as_many_failures_in_a_row_as_the_threshold_says() -> None:
    circuit = breaker()
    fail(circuit, 10.0, None, None)
    assert circuit.state(10.0) == "closed"
    fail(circuit, 10.0, None)
    assert circuit.state(10.0) == "open"
    assert refusal(circuit, 10.25).wait == pytest.approx(0.75)


def test_a_success_clears_the_row() -> None:
    circuit = breaker()
    for _ in range(5):
        fail(circuit, 10.0, None, None)
        circuit.success(circuit.admit(10.0))
    assert circuit.state(10.0) == "closed"


def test_one_email_that_always_fails_never_opens_it() -> None:
    circuit = breaker()
    fail(circuit, 10.0, *["bad"] * 100)
    assert circuit.state(10.0) == "closed"


def test_failures_of_different_emails_do_open_it() -> None:
    circuit = breaker()
    fail(circuit, 10.0, "a", "a", "b", "b", "c")
    assert circuit.state(10.0) == "open"


def test_half_open_lets_one_probe_through() -> None:
    circuit = breaker()
    fail(circuit, 10.0, None, None, None)
    assert circuit.state(11.0) == "half-open"
    assert circuit.admit(11.0).probe
    assert not refusal(circuit, 11.0).throttled


def test_who_asks_early_is_the_probe_and_no_second_one_is() -> None:
    circuit = breaker()
    fail(circuit, 0.0, "a", "b", "c")
    permit = circuit.admit(0.0, early=True)
    assert permit.probe
    with pytest.raises(Refused):
        circuit.admit(0.0, early=True)
    circuit.success(permit)
    assert circuit.state(0.0) == "closed"


def test_nobody_asks_early_while_it_asked_for_a_pause() -> None:
    circuit = breaker()
    circuit.throttle(circuit.admit(0.0), 0.0, 5.0)
    with pytest.raises(Refused):
        circuit.admit(1.0, early=True)


def test_a_good_probe_closes_it() -> None:
    circuit = breaker()
    fail(circuit, 10.0, None, None, None)
    circuit.success(circuit.admit(11.0))
    assert circuit.admit(11.0) == Permit(11.0, probe=False)


def test_failing_probes_double_the_pause_up_to_the_cap() -> None:
    circuit = breaker()
    fail(circuit, 0.0, None, None, None)
    now, pauses = 1.0, []
    for _ in range(4):
        fail(circuit, now, None)
        pauses.append(refusal(circuit, now).wait)
        now += pauses[-1]
    assert pauses == [2.0, 4.0, 4.0, 4.0]


def test_after_a_success_the_pauses_start_small_again() -> None:
    circuit = breaker()
    fail(circuit, 0.0, None, None, None)
    fail(circuit, 1.0, None)
    circuit.success(circuit.admit(3.0))
    fail(circuit, 3.0, None, None, None)
    assert refusal(circuit, 3.0).wait == 1.0


def test_the_pause_runs_from_the_start_of_a_probe_that_was_a_long_wait_itself() -> None:
    circuit = breaker()
    fail(circuit, 0.0, None, None, None)
    circuit.failure(circuit.admit(1.0), 9.0)
    assert circuit.state(9.0) == "half-open"


def test_jitter_takes_away_up_to_half_of_the_pause() -> None:
    circuit = CircuitBreaker(threshold=1, base_s=1.0, rng=Fixed(0.0))
    fail(circuit, 0.0, None)
    assert refusal(circuit, 0.0).wait == 0.5


def test_a_probe_that_is_given_up_makes_room_for_the_next() -> None:
    circuit = breaker()
    fail(circuit, 0.0, None, None, None)
    circuit.abandon(circuit.admit(1.0))
    assert circuit.admit(1.0).probe


def test_a_call_from_before_the_opening_does_not_count_as_the_probe() -> None:
    circuit = breaker()
    early = circuit.admit(0.0)
    fail(circuit, 0.0, None, None, None)
    circuit.admit(1.0)
    circuit.failure(early, 1.0)
    assert refusal(circuit, 1.0).wait == 1.0


def test_one_thing_that_throttles_again_and_again_holds_back_nobody_else() -> None:
    circuit = breaker()
    assert circuit.throttle(circuit.admit(0.0), 0.0, 5.0, key="sick")
    assert refusal(circuit, 4.0).throttled

    assert not circuit.throttle(circuit.admit(5.0), 5.0, 5.0, key="sick")
    circuit.success(circuit.admit(5.0), key="well")
    assert not circuit.throttle(circuit.admit(6.0), 6.0, 5.0, key="sick")

    assert circuit.throttle(circuit.admit(7.0), 7.0, 5.0, key="another"), "a real limit is told by others too"
    circuit.success(circuit.admit(12.0), key="sick")
    assert circuit.throttle(circuit.admit(13.0), 13.0, 5.0, key="sick"), "it was well meanwhile"


def test_a_throttle_holds_everybody_back_and_counts_as_an_answer() -> None:
    circuit = breaker()
    fail(circuit, 0.0, None, None)
    circuit.throttle(circuit.admit(0.0), 0.0, 5.0)
    assert refusal(circuit, 4.0).throttled
    assert circuit.admit(5.0)
    fail(circuit, 5.0, None, None)
    assert circuit.state(5.0) == "closed"
