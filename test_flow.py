"""Sends one email of each kind through a running server and follows it: result, event, statistics, books. Exit code 0 or 1."""

from commands import venv

if __name__ == "__main__":
    venv.enter()

import argparse

from commands.script import run
from commands.trials import flow

if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    run(flow)
