"""Running systems that the flow tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.system import System


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, short_tmp: Path) -> Iterator[System]:
    """One system for all tests of a module that leave it running."""
    running = System(short_tmp / "flow", {"POLL_INTERVAL_S": "0.5", "GONE_AFTER_S": "1"}).start()
    yield running
    running.stop()
