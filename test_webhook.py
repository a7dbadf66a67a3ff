"""Sends good and bad notifications to a running server's webhook and checks each response. Exit code 0 or 1."""

from commands import venv

if __name__ == "__main__":
    venv.enter()

import argparse

from commands.script import run
from commands.trials import webhook

if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    run(webhook)
