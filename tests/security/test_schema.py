"""Schemathesis, bounded: all checks on every operation, with and without a token; the server logs no traceback."""

import pytest

from tests.security.schema import check, filled

pytestmark = pytest.mark.slow


def test_every_operation_does_as_the_description_says(start):
    system = filled(start())
    code, report = check(system.url, 4, seed=1, seconds=300)
    assert code == 0, report[-20_000:]
    assert "Traceback" not in system.log()
