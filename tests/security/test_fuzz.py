"""Every parser of untrusted input, on thousands of mutations: a result or a refusal, nothing uncaught, nothing slow."""

import pytest

from tests.security.fuzz import TARGETS, run

SLOW = {"mime": 500, "search": 500, "fakemail_answer": 2000}


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_uncaught(name):
    assert run(name, SLOW.get(name, 5000)) > SLOW.get(name, 5000)
