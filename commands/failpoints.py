"""`run.py failpoints`: the points at which a test may kill a process, and what has happened when each is reached."""

import argparse
import json

from commands.arguments import add_json
from engine.failpoints import POINTS, VARIABLE
from settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_json(parser)


def run(args: argparse.Namespace, _settings: Settings) -> None:
    """Print the table of failpoints."""
    if args.json:
        print(json.dumps(POINTS))
        return
    print(f"armed by {VARIABLE}=ROLE:NAME[:HIT], with ROLE front, worker or all\n")
    for name, text in POINTS.items():
        print(f"{name:<22} {text}")
