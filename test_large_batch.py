"""Sends N emails (default 2000) through a running server and waits for their results, with a progress bar. Exit code 0 or 1."""

from commands import venv

if __name__ == "__main__":
    venv.enter()

import argparse

from commands.script import run
from commands.trials import DEFAULT_BATCH, large_batch


def main() -> None:
    """Read the number and do the work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "n", nargs="?", type=int, default=DEFAULT_BATCH, metavar="N", help="how many emails (default %(default)s)"
    )
    count = parser.parse_args().n
    if count < 1:
        parser.error("N must be at least 1")
    run(lambda: large_batch(count))


if __name__ == "__main__":
    main()
