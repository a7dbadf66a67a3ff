"""Real systems for the security tests, with the settings that a test needs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flow.system import System


@pytest.fixture
def start(short_tmp: Path, tmp_path: Path) -> Iterator[Callable[..., System]]:
    """A function that starts a system with given settings; it is stopped at the end."""
    systems: list[System] = []

    def run(**settings: str) -> System:
        folder = short_tmp / f"{tmp_path.name[-20:]}-{len(systems)}"
        system = System(folder, {"POLL_INTERVAL_S": "0.5", "PROCESSOR_PROCESSES": "0", **settings})
        systems.append(system)
        return system.start()

    yield run
    for system in systems:
        if system.process is not None:
            system.stop()
