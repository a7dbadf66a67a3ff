"""An announced history id that is not listed is looked for again at growing intervals, and then given up."""

import pytest

from actors.announced import NEVER, TRIES, Announced


def test_what_is_listed_at_once_is_not_awaited():
    announced = Announced()

    announced.expect(7, cursor=7, now=100.0)

    assert (announced.history_id, announced.look_at) == (0, NEVER)


def test_what_is_not_listed_yet_is_looked_for_until_the_cursor_has_reached_it():
    announced = Announced()
    announced.expect(9, cursor=7, now=100.0)
    assert announced.history_id == 9
    assert 100.0 < announced.look_at < 101.0

    announced.looked(cursor=8, now=101.0)
    assert announced.look_at > 101.0
    announced.looked(cursor=9, now=102.0)

    assert (announced.history_id, announced.look_at) == (0, NEVER)


def test_an_id_that_never_comes_is_given_up():
    announced = Announced()
    announced.expect(9, cursor=7, now=0.0)

    for _ in range(TRIES):
        assert announced.history_id == 9
        announced.looked(cursor=7, now=0.0)

    assert (announced.history_id, announced.look_at) == (0, NEVER)


@pytest.mark.parametrize(("later", "awaited"), [(8, 9), (11, 11)])
def test_the_greatest_one_is_awaited_and_a_new_one_begins_the_tries_anew(later, awaited):
    announced = Announced()
    announced.expect(9, cursor=7, now=0.0)
    for _ in range(TRIES - 1):
        announced.looked(cursor=7, now=0.0)

    announced.expect(later, cursor=7, now=0.0)
    for _ in range(TRIES - 1):
        announced.looked(cursor=7, now=0.0)

    assert announced.history_id == awaited
