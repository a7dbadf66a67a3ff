"""Each test has its own whole system, in a folder with a short name."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.rig import Rig, rig


@pytest.fixture
def make_rig(short_tmp: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Rig]]:
    """A function that creates systems with given settings, not started; they end with the test."""
    with ExitStack() as stack:

        def make(**environ: str) -> Rig:
            folder = short_tmp / f"{abs(hash(request.node.name)) % 10**6}-{len(made)}"
            made.append(stack.enter_context(rig(folder, **environ)))
            return made[-1]

        made: list[Rig] = []
        yield make
