"""commands/process.py with the frozen work function as its classifier."""

# ruff: noqa: E402  (gevent patches before anything else is imported)

from gevent import monkey

monkey.patch_all()

import sys
from typing import Any

from benchmarks.frozen import Frozen
from commands import process


def frozen(_settings: Any) -> Any:
    """Return the frozen function instead of loading the model."""
    return Frozen()


if __name__ == "__main__":
    vars(process)["load_classifier"] = frozen
    sys.exit(process.main(sys.argv[1:]))
