"""The desired state: JSON values by name, with increasing versions."""

import pytest

from storage.desired import Desired


@pytest.fixture
def desired(db):
    return Desired(db)


def test_values_are_set_replaced_and_listed(desired):
    assert desired.get("paused", False) is False
    assert desired.set("paused", True) == 1
    assert desired.set("paused", False) == 2
    desired.set("setup", {"webhook_url": "http://x"})
    assert desired.get("paused") is False
    assert desired.all() == {"paused": False, "setup": {"webhook_url": "http://x"}}
